/* For the program inside a component: the allocator that the WASI adapter asks
 * for memory. Without it the adapter grows the memory by itself, and the malloc
 * of older wasi-libc takes those pages for its own heap. */

#include <stdlib.h>

__attribute__((export_name("cabi_realloc")))
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size)
{
    void *fresh;
    (void)old_size;
    if (size == 0)
        return (void *)align;
    /* malloc's own alignment of 16 is enough for everything in WASI. */
    (void)align;
    fresh = realloc(old, size);
    if (fresh == NULL)
        abort();
    return fresh;
}
