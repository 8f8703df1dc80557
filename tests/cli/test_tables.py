"""Tables look as OpenNebula 3.0's tools printed them (facts/econe.md, 3.2)."""

from econe.cli.tables import IMAGES, INSTANCES, KEY_PAIRS, RUN, lines, printable


def table(kind, *rows, headers=True):
    return list(lines(kind, rows, headers=headers))


def test_images():
    row = ("helen", "ami-00000001", "available", "private", "19ead5de585f43282acab4060bfb7a07")
    assert table(IMAGES, row) == [
        "Owner        ImageId       Status         Visibility   Location",
        "-" * 78,
        "helen        ami-00000001  available      private      19ead5de585f43282acab4060bfb7a07",
    ]


def test_instances():
    row = ("helen", "i-00000015", "ami-00000001", "running", "147.96.80.33", "m1.small")
    assert table(INSTANCES, row) == [
        "Owner       Id           ImageId        State       IP              Type      ",
        "-" * 83,
        "helen       i-00000015   ami-00000001   running     147.96.80.33    m1.small  ",
    ]


def test_run():
    assert table(RUN, ("helen", "ami-00000001", "i-00000015", "m1.small")) == [
        "Owner         ImageId         InstanceId     InstanceType",
        "-" * 78,
        "helen         ami-00000001    i-00000015     m1.small",
    ]


def test_key_pairs():
    assert table(KEY_PAIRS, ("mykey", "1f:51")) == [
        "keyName         keyFingerprint",
        "-" * 76,
        "mykey           1f:51",
    ]


def test_without_headers_there_are_rows_only():
    assert table(RUN, headers=False) == []
    assert len(table(RUN, ("a", "b", "c", "d"), headers=False)) == 1


def test_long_cells_are_not_cut():
    assert "i-" + "0" * 17 in table(RUN, ("o" * 30, "a", "i-" + "0" * 17, "t"))[2]


def test_what_would_steer_a_terminal_is_not_printed():
    assert printable("a\x1b[31mb\nc\x00\u202e") == "a?[31mb?c??"
    assert printable("né 漢😀") == "né 漢😀"
    assert "\x1b" not in "".join(table(RUN, ("\x1b]0;x", "a", "b", "c")))
