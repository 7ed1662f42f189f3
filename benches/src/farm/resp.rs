//! Commands and replies of Redis: as much of its protocol (RESP2) as MGET, SET
//! and PING need, read where the bytes lie.

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BytesMut};
use stencil::CacheKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Room that is made for one read from the socket.
const READ_BYTES: usize = 256 << 10;
const END: &[u8; 2] = b"\r\n";

/// A connection to Redis.
pub struct Resp {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Resp {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    ///
    /// If nobody listens there.
    pub async fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(READ_BYTES) })
    }

    /// Sends a command that answers with a simple word, and expects it.
    ///
    /// # Errors
    ///
    /// If the answer is another one, or there is none.
    pub async fn expect(&mut self, command: &[u8], word: &[u8]) -> Result<()> {
        self.send_all(command, 1, word).await
    }

    /// Sends `count` commands that all answer with the same word.
    ///
    /// # Errors
    ///
    /// As [`expect`](Self::expect).
    pub async fn send_all(&mut self, commands: &[u8], count: usize, word: &[u8]) -> Result<()> {
        let (reader, mut writer) = self.stream.split();
        let mut replies = Replies { reader, buffer: &mut self.buffer };
        let write = async { Ok(writer.write_all(commands).await?) };
        let read = async {
            for _ in 0..count {
                let line = replies.line().await?;
                let reply = &replies.buffer[..line];
                ensure!(
                    reply.strip_prefix(b"+") == Some(word),
                    "redis says {}",
                    reply.escape_ascii()
                );
                replies.buffer.advance(line + END.len());
            }
            Ok(())
        };
        tokio::try_join!(write, read).map(|_: ((), ())| ())
    }

    /// Sends MGET commands, `depth` of them before the first answer is read, and
    /// gives every value that is there to `found`, with the place of its key.
    ///
    /// # Errors
    ///
    /// If there is no whole answer, or `found` fails.
    pub async fn mget(
        &mut self,
        commands: &[Mget],
        depth: usize,
        mut found: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        // Redis takes commands whether its answers are read or not, so writing
        // first and reading then does not come to a stop.
        let (reader, mut writer) = self.stream.split();
        let mut replies = Replies { reader, buffer: &mut self.buffer };
        let mut unsent = commands.iter();
        for command in unsent.by_ref().take(depth.max(1)) {
            writer.write_all(&command.bytes).await?;
        }
        let mut index = 0;
        for &Mget { keys, .. } in commands {
            let got = replies.number(b'*').await?;
            ensure!(usize::try_from(got) == Ok(keys), "redis answers {got} of {keys} keys");
            for _ in 0..keys {
                if let Some(len) = replies.bulk().await? {
                    found(index, &replies.buffer[..len])?;
                    replies.buffer.advance(len + END.len());
                }
                index += 1;
            }
            if let Some(command) = unsent.next() {
                writer.write_all(&command.bytes).await?;
            }
        }
        Ok(())
    }
}

/// One command.
#[derive(Clone, Debug)]
pub struct Mget {
    bytes: Vec<u8>,
    keys: usize,
}

/// The read half, and what was read and not yet taken.
struct Replies<'a> {
    reader: tokio::net::tcp::ReadHalf<'a>,
    buffer: &'a mut BytesMut,
}

impl Replies<'_> {
    async fn fill(&mut self) -> Result<()> {
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 4 {
            self.buffer.reserve(READ_BYTES);
        }
        match self.reader.read_buf(self.buffer).await? {
            0 => bail!("redis has closed the connection"),
            _ => Ok(()),
        }
    }

    /// Waits for a line; its length, without its end.
    async fn line(&mut self) -> Result<usize> {
        loop {
            if let Some(end) = self.buffer.windows(END.len()).position(|bytes| bytes == END) {
                return Ok(end);
            }
            self.fill().await?;
        }
    }

    /// Takes a line that has a number behind `marker`.
    async fn number(&mut self, marker: u8) -> Result<i64> {
        let line = self.line().await?;
        let text = &self.buffer[..line];
        let digits = text.strip_prefix(&[marker]).and_then(|digits| str::from_utf8(digits).ok());
        let number = digits.and_then(|digits| digits.parse().ok());
        let number = number.with_context(|| format!("redis says {}", text.escape_ascii()))?;
        self.buffer.advance(line + END.len());
        Ok(number)
    }

    /// Waits for a whole value; its length, if there is one. It lies at the front
    /// of the buffer.
    async fn bulk(&mut self) -> Result<Option<usize>> {
        let len = match self.number(b'$').await? {
            ..0 => return Ok(None),
            len => usize::try_from(len)?,
        };
        while self.buffer.len() < len + END.len() {
            if self.buffer.capacity() < len + END.len() {
                self.buffer.reserve(len + END.len() - self.buffer.len());
            }
            self.fill().await?;
        }
        Ok(Some(len))
    }
}

/// The MGET commands of these keys, in batches, one after the other.
pub fn mget_commands(keys: &[CacheKey], batch: usize) -> Vec<Mget> {
    let command = |keys: &[CacheKey]| {
        let mut bytes = Vec::with_capacity(keys.len() * 40 + 64);
        bytes.extend_from_slice(format!("*{}\r\n", keys.len() + 1).as_bytes());
        put_bulk(&mut bytes, b"MGET");
        keys.iter().for_each(|key| put_bulk(&mut bytes, key.as_bytes()));
        Mget { bytes, keys: keys.len() }
    };
    keys.chunks(batch.max(1)).map(command).collect()
}

/// Appends the command that keeps a value.
pub fn put_set(commands: &mut Vec<u8>, key: &CacheKey, value: &[u8]) {
    commands.extend_from_slice(b"*3\r\n");
    put_bulk(commands, b"SET");
    put_bulk(commands, key.as_bytes());
    put_bulk(commands, value);
}

fn put_bulk(commands: &mut Vec<u8>, bytes: &[u8]) {
    commands.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    commands.extend_from_slice(bytes);
    commands.extend_from_slice(END);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A peer that answers the first bytes with `reply`, in small pieces.
    #[track_caller]
    fn check(reply: &'static [u8], counts: &[usize], expected: Option<&[&[u8]]>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let got = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move {
                let (mut peer, _) = listener.accept().await.unwrap();
                peer.read_u8().await.unwrap();
                for piece in reply.chunks(3) {
                    peer.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                // An end with something unread would take back what was written.
                peer.shutdown().await.unwrap();
                peer.read_to_end(&mut Vec::new()).await.unwrap();
            });
            let mut resp = Resp::connect(port).await.unwrap();
            let mut values = Vec::new();
            let found = |index, value: &[u8]| {
                values.resize(index, Vec::new());
                values.push(value.to_vec());
                Ok(())
            };
            let command = |&keys: &usize| Mget { bytes: b"x".to_vec(), keys };
            let commands: Vec<_> = counts.iter().map(command).collect();
            resp.mget(&commands, 1, found).await.map(|()| values)
        });
        match expected {
            Some(expected) => assert_eq!(got.unwrap(), expected),
            None => assert!(got.is_err(), "{got:?}"),
        }
    }

    #[test]
    fn values_come_in_the_order_of_the_keys_over_all_commands() {
        let reply = b"*3\r\n$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n*1\r\n$2\r\nxy\r\n";
        check(reply, &[3, 1], Some(&[b"a\r\n", b"", b"", b"xy"]));
    }

    #[test]
    fn a_wrong_count_an_error_and_an_end_are_errors() {
        check(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", &[1], None);
        check(b"-ERR no\r\n", &[1], None);
        check(b"*1\r\n$9\r\nabc", &[1], None);
    }

    #[test]
    fn commands_are_what_redis_reads() {
        let key = CacheKey::from_bytes([b'k'; 32]);
        let commands = mget_commands(&[key; 3], 2);
        let counts: Vec<_> = commands.iter().map(|command| command.keys).collect();
        assert_eq!(counts, [2, 1]);
        let text = String::from_utf8(commands[0].bytes.clone()).unwrap();
        assert!(text.starts_with("*3\r\n$4\r\nMGET\r\n$32\r\nkkk"), "{text}");
        let mut set = Vec::new();
        put_set(&mut set, &key, b"v");
        assert!(set.ends_with(b"$1\r\nv\r\n"), "{}", set.escape_ascii());
    }
}
