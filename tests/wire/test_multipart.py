import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from econe.wire.multipart import Field, FileBegin, FileChunk, FileEnd, Reader
from econe.wire.refusal import Refusal

BOUNDARY = "----boundary-x7"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def body(*parts: tuple[str, bytes, str | None], boundary: str = BOUNDARY) -> bytes:
    made = b""
    for name, content, filename in parts:
        file = f'; filename="{filename}"' if filename is not None else ""
        made += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n'.encode()
        made += (
            b"Content-Type: application/octet-stream\r\n\r\n" if filename is not None else b"\r\n"
        )
        made += content + b"\r\n"
    return made + f"--{boundary}--\r\n".encode()


def read(raw: bytes, sizes=(), content_type: str = TYPE):
    """All fields, and all files as (name, file name, content); fed in chunks of these sizes."""
    reader = Reader(content_type)
    fields, files, at = [], [], 0
    for size in [*sizes, len(raw)]:
        for event in reader.feed(raw[at : at + size]):
            match event:
                case Field(name, value):
                    fields.append((name, value))
                case FileBegin(name, filename):
                    files.append([name, filename, b""])
                case FileChunk(data):
                    assert data
                    files[-1][2] += data
                case FileEnd():
                    files[-1].append("ended")
        at += size
    reader.close()
    assert all(file.pop() == "ended" for file in files)
    return fields, [tuple(file) for file in files]


def refused(raw: bytes, sizes=(), content_type: str = TYPE) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read(raw, sizes, content_type)
    assert caught.value.code == "InvalidRequest"
    return caught.value


def test_fields_and_a_file_are_read():
    raw = body(("Action", b"UploadImage", None), ("file", b"\x00disk\r\n", "disk.img"))
    assert read(raw) == ([("Action", "UploadImage")], [("file", "disk.img", b"\x00disk\r\n")])


near_misses = st.sampled_from(
    [b"\r", b"\r\n", b"\r\n-", b"\r\n--", b"\r\n------boundary", b"--", b"x", b"\r\r\n------b"]
)
contents = st.lists(near_misses | st.binary(max_size=9), max_size=12).map(b"".join)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b c", "é"]), contents), max_size=4),
    st.lists(st.integers(1, 40), max_size=60),
)
def test_however_the_body_is_cut_the_files_come_out_whole(files, sizes):
    raw = body(*((name, content, "f") for name, content in files))
    assert read(raw, sizes) == ([], [(name, "f", content) for name, content in files])


def test_byte_by_byte_is_the_same():
    raw = body(("Name", "é".encode(), None), ("file", b"\r\n------boundary-x\r\n" * 9, "d"))
    assert read(raw, [1] * len(raw)) == read(raw)


@given(st.binary(max_size=120), st.lists(st.integers(1, 9), max_size=20))
def test_any_bytes_are_read_or_refused(raw, sizes):
    for sent in (raw, body(("a", raw, None)), f"--{BOUNDARY}\r\n".encode() + raw):
        try:
            read(sent, sizes)
        except Refusal as refusal:
            assert refusal.code == "InvalidRequest"


@given(st.integers(0, 200))
def test_a_body_cut_off_anywhere_is_refused(length):
    raw = body(("Name", b"x", None), ("file", b"content", "f")).removesuffix(b"\r\n")
    if length < len(raw):
        assert "before its last boundary" in refused(raw[:length]).message


@given(st.text(max_size=60))
def test_any_content_type_is_read_or_refused(content_type):
    try:
        Reader(f"multipart/form-data; {content_type}")
        Reader(content_type)
    except Refusal as refusal:
        assert refusal.code == "InvalidRequest"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "multipart/form-data",
        "text/plain; boundary=x",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 71,
        'multipart/form-data; boundary="é"',
    ],
)
def test_a_content_type_without_a_proper_boundary_is_refused(content_type):
    refused(b"", content_type=content_type)


def test_a_boundary_may_be_quoted():
    raw = body(("a", b"b", None), boundary="x y")
    assert read(raw, content_type='multipart/form-data; boundary="x y"; charset=utf-8')


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n",
        b"Content-Disposition: form-data\r\n\r\n",
        b"Content-Disposition: attachment; name=x\r\n\r\n",
        b"no colon\r\n\r\n",
        b'Content-Disposition: form-data; name="x"\r\nContent-Transfer-Encoding: base64\r\n\r\n',
        b'Content-Disposition: form-data; name="\xff"\r\n\r\n',
    ],
)
def test_a_part_with_an_improper_head_is_refused(head):
    refused(f"--{BOUNDARY}\r\n".encode() + head + f"x\r\n--{BOUNDARY}--".encode())


def test_what_would_have_to_be_held_has_limits():
    assert "longer than 65536" in refused(body(("Name", b"x" * 65_537, None))).message
    assert read(body(("Name", b"x" * 65_536, None)))
    long_head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{"x" * 9000}'.encode()
    assert "longer than 8192" in refused(long_head).message
    assert "longer than 8192" in refused(long_head, [100] * 100).message
    assert "200 parts" in refused(body(*[("a", b"", None)] * 201)).message
    assert "longer than" in refused(b"x" * 70_000).message


def test_a_field_that_is_no_text_is_refused():
    assert "UTF-8" in refused(body(("Name", b"\xff", None))).message


def test_what_follows_the_last_boundary_is_ignored():
    assert read(body(("a", b"b", None)) + b"epilogue" * 99) == ([("a", "b")], [])


def test_a_long_file_is_handed_on_without_copies_of_it():
    reader = Reader(TYPE)
    head = body(("file", b"", "f")).partition(b"\r\n\r\n")
    reader.feed(head[0] + head[1])
    chunk = bytes(1 << 20)
    (event,) = reader.feed(chunk)
    assert event.data is chunk
    began = time.process_time()
    for _ in range(64):
        reader.feed(chunk)
    assert time.process_time() - began < 0.5
