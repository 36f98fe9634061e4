use std::sync::Mutex;

use super::*;

#[derive(Debug, Default)]
struct Lines(Mutex<Vec<(Stream, String)>>);

impl LogSink for Lines {
    fn line(&self, stream: Stream, text: &str) {
        self.0.lock().unwrap().push((stream, text.to_owned()));
    }
}

/// What the log and the output hold of `written`, read in pieces of `piece` bytes.
fn captured(written: &[u8], piece: usize, limit: usize) -> (Vec<String>, Kept) {
    masked(written, piece, limit, &Mask::default())
}

/// As [`captured`], without what is to be masked.
fn masked(written: &[u8], piece: usize, limit: usize, mask: &Mask) -> (Vec<String>, Kept) {
    let lines = Lines::default();
    let mut log = Log { sink: &lines, room: Room::default() };
    let mut output = Output::<&[u8]>::new(None, Stream::Stdout, limit, mask);
    for piece in written.chunks(piece) {
        output.chunk[..piece.len()].copy_from_slice(piece);
        output.take(piece.len(), &mut log);
    }
    output.end(&mut log);
    let kept = output.kept();
    (lines.0.into_inner().unwrap().into_iter().map(|(_, line)| line).collect(), kept)
}

#[test]
fn lines_do_not_depend_on_how_they_arrive() {
    let written = "one\r\n\ntwo é\nlast".as_bytes();
    for piece in 1..=written.len() {
        let (lines, kept) = captured(written, piece, 1 << 20);
        assert_eq!(lines, ["one", "", "two é", "last"], "in pieces of {piece}");
        assert_eq!(
            kept,
            Kept { text: "one\r\n\ntwo é\nlast".to_owned(), bytes: written.len() as u64, cut: false }
        );
    }
}

#[test]
fn all_line_ends_at_the_end_go_as_in_a_command_substitution() {
    assert_eq!(captured(b"a\n\n\n", 4, 100).1.text, "a");
    assert_eq!(captured(b"\n", 1, 100).1.text, "");
    assert_eq!(captured(b" a \n", 4, 100).1.text, " a ");
}

#[test]
fn a_long_line_is_cut_and_says_so() {
    let written = [b"x".repeat(10 << 20), b"\nnext\n".to_vec()].concat();
    let (lines, _) = captured(&written, CHUNK, 10);
    assert_eq!(lines.len(), 2);
    assert!(lines[0].ends_with("x … (cut; the line is 10485760 bytes long)"));
    assert!(lines[0].len() < LINE_LIMIT + 64);
    assert_eq!(lines[1], "next");
}

#[test]
fn what_is_kept_ends_at_the_limit_and_never_inside_a_character() {
    let (_, kept) = captured("aé".as_bytes(), 8, 2);
    assert_eq!(kept, Kept { text: "a".to_owned(), bytes: 3, cut: true });
    let (_, kept) = captured("aé".as_bytes(), 8, 3);
    assert_eq!(kept, Kept { text: "aé".to_owned(), bytes: 3, cut: false });
    let (_, kept) = captured(b"a\xffb", 8, 2);
    assert_eq!(kept.text, "a\u{fffd}");
}

#[test]
fn bytes_that_no_store_can_keep_are_replaced() {
    let (lines, kept) = captured(b"a\xff\0b\n", 3, 100);
    assert_eq!(lines, ["a\u{fffd}\u{fffd}b"]);
    assert_eq!(kept.text, "a\u{fffd}\u{fffd}b");
}

#[test]
fn the_log_ends_at_its_limit_and_says_so_once() {
    let lines = Lines::default();
    let mut log = Log { sink: &lines, room: Room(LINE_COST + 10) };
    for _ in 0..5 {
        log.line(Stream::Stdout, "1234");
    }
    let lines = lines.0.into_inner().unwrap();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0], (Stream::Stdout, "1234".to_owned()));
    assert!(lines[1].0 == Stream::System && lines[1].1.contains("beyond 16 MiB"), "{lines:?}");
}

#[test]
fn a_secret_is_masked_before_anything_is_cut() {
    let secret = "s3cret-0123456789";
    let mask = Mask::of([secret]);
    for before in 0..=secret.len() + 2 {
        // The output is cut in the middle of the secret, and so is the long line.
        let written = format!("{}{secret} and more", "x".repeat(before));
        for piece in [1, 5, 4_096] {
            let (lines, kept) = masked(written.as_bytes(), piece, secret.len(), &mask);
            assert_eq!(lines, [format!("{}*** and more", "x".repeat(before))]);
            assert!(!kept.text.contains("s3c"), "{kept:?}");
        }
        let long = format!("{}{secret}\n", "x".repeat(LINE_LIMIT - before));
        let (lines, _) = masked(long.as_bytes(), CHUNK, 10, &mask);
        assert!(!lines[0].contains("s3c"), "with {before} bytes of the secret in the line");
    }
}
