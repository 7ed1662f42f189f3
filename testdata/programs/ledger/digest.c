/* SHA-256, HMAC, CRC-32 and Adler-32. The SHA-256 constants are computed. */
#include "algos.h"

#include <math.h>
#include <string.h>

static uint32_t sha_k[64], sha_h[8];
static bool sha_ready;

static NI bool is_prime(uint32_t n) {
    for (uint32_t d = 2; d * d <= n; d++)
        if (n % d == 0) return false;
    return n > 1;
}

/* First 32 bits of the fraction of p's square or cube root, in integers. */
static NI uint32_t root_bits(uint32_t p, int power) {
    uint64_t r = 0;
    for (int bit = 36; bit >= 0; bit--) {
        uint64_t t = r | 1ull << bit;
        __uint128_t v = (__uint128_t)t * t;
        bool fits;
        if (power == 2)
            fits = v <= (__uint128_t)p << 64;
        else
            fits = v <= (((__uint128_t)p << 96) / t);
        if (fits) r = t;
    }
    return (uint32_t)r;
}

static NI void sha_tables(void) {
    uint32_t n = 0;
    for (uint32_t p = 2; n < 64; p++) {
        if (!is_prime(p)) continue;
        if (n < 8) sha_h[n] = root_bits(p, 2);
        sha_k[n++] = root_bits(p, 3);
    }
    sha_ready = true;
}

static NI uint32_t ror(uint32_t v, int n) {
    return v >> n | v << (32 - n);
}

static NI uint32_t load_be(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static NI void store_be(uint8_t *p, uint32_t v) {
    for (int i = 3; i >= 0; i--, v >>= 8) p[i] = (uint8_t)v;
}

static NI void sha_expand(uint32_t w[64], const uint8_t *block) {
    for (int i = 0; i < 16; i++) w[i] = load_be(block + 4 * i);
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        uint32_t s0 = ror(a, 7) ^ ror(a, 18) ^ (a >> 3);
        uint32_t s1 = ror(b, 17) ^ ror(b, 19) ^ (b >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
}

static NI void sha_rounds(uint32_t h[8], const uint32_t w[64]) {
    uint32_t v[8];
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25);
        uint32_t pick = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t t1 = v[7] + s1 + pick + sha_k[i] + w[i];
        uint32_t s0 = ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22);
        uint32_t most = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + s0 + most;
    }
    for (int i = 0; i < 8; i++) h[i] += v[i];
}

static NI void sha_block(Sha256 *s, const uint8_t *block) {
    uint32_t w[64];
    sha_expand(w, block);
    sha_rounds(s->h, w);
}

NI void sha256_init(Sha256 *s) {
    if (!sha_ready) sha_tables();
    memset(s, 0, sizeof *s);
    memcpy(s->h, sha_h, sizeof sha_h);
}

NI void sha256_update(Sha256 *s, const void *data, size_t n) {
    const uint8_t *p = data;
    s->length += n;
    while (n) {
        size_t take = 64 - s->fill < n ? 64 - s->fill : n;
        memcpy(s->block + s->fill, p, take);
        s->fill += (uint32_t)take;
        p += take;
        n -= take;
        if (s->fill < 64) break;
        sha_block(s, s->block);
        s->fill = 0;
    }
}

NI Digest sha256_final(Sha256 *s) {
    static const uint8_t pad[64] = {0x80};
    uint8_t tail[8];
    uint64_t bits = s->length * 8;
    store_be(tail, (uint32_t)(bits >> 32));
    store_be(tail + 4, (uint32_t)bits);
    sha256_update(s, pad, s->fill < 56 ? 56 - s->fill : 120 - s->fill);
    sha256_update(s, tail, 8);
    Digest d;
    for (int i = 0; i < 8; i++) store_be(d.bytes + 4 * i, s->h[i]);
    return d;
}

NI Digest sha256_of(Str data) {
    Sha256 s;
    sha256_init(&s);
    sha256_update(&s, data.ptr, data.len);
    return sha256_final(&s);
}

static NI Digest keyed_pass(const uint8_t key[64], uint8_t mask, const void *data, size_t n) {
    uint8_t pad[64];
    for (int i = 0; i < 64; i++) pad[i] = key[i] ^ mask;
    Sha256 s;
    sha256_init(&s);
    sha256_update(&s, pad, sizeof pad);
    sha256_update(&s, data, n);
    return sha256_final(&s);
}

NI Digest hmac_sha256(Str key, Str data) {
    uint8_t k[64] = {0};
    if (key.len > sizeof k) {
        Digest d = sha256_of(key);
        memcpy(k, d.bytes, sizeof d.bytes);
    } else {
        memcpy(k, key.ptr, key.len);
    }
    Digest inner = keyed_pass(k, 0x36, data.ptr, data.len);
    return keyed_pass(k, 0x5c, inner.bytes, sizeof inner.bytes);
}

NI void digest_hex(Sb *out, Digest d) {
    for (size_t i = 0; i < sizeof d.bytes; i++) sb_hex(out, d.bytes[i], 2);
}

static NI uint32_t crc_entry(uint32_t i) {
    for (int k = 0; k < 8; k++) i = i & 1 ? i >> 1 ^ 0xedb88320u : i >> 1;
    return i;
}

NI uint32_t crc32_of(uint32_t crc, const void *data, size_t n) {
    static uint32_t table[256];
    if (!table[1])
        for (uint32_t i = 0; i < 256; i++) table[i] = crc_entry(i);
    const uint8_t *p = data;
    for (crc = ~crc; n--; p++) crc = table[(crc ^ *p) & 255] ^ crc >> 8;
    return ~crc;
}

NI uint32_t adler32_of(const void *data, size_t n) {
    const uint8_t *p = data;
    uint32_t a = 1, b = 0;
    for (; n--; p++) {
        a = (a + *p) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static NI void expect_digest(Checker *c, Digest d, const char *want) {
    Sb sb;
    sb_init(&sb);
    digest_hex(&sb, d);
    check_str(c, want, sb_view(&sb), want);
    sb_free(&sb);
}

void selftest_digest(Checker *c, Arena *arena) {
    expect_digest(c, sha256_of(str_of("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_digest(c, sha256_of(str_of("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_digest(c, hmac_sha256(str_of("key"), str_of("The quick brown fox jumps over the lazy dog")),
                  "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
    char *a = arena_zalloc(arena, 100000, 1);
    memset(a, 'a', 100000);
    Sha256 s;
    sha256_init(&s);
    for (int i = 0; i < 10; i++) sha256_update(&s, a, 100000);
    expect_digest(c, sha256_final(&s), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    check_i64(c, "crc32", crc32_of(0, "123456789", 9), 0xcbf43926);
    check_i64(c, "crc32 in parts", crc32_of(crc32_of(0, "1234", 4), "56789", 5), 0xcbf43926);
    check_i64(c, "adler32", adler32_of("Wikipedia", 9), 0x11e60398);
}
