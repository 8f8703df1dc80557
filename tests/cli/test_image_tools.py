"""econe-upload, -register, -describe-images and -deregister."""

import json

import pytest
from tests.support.cloud_double import error, xml

from econe.cli.images import DEREGISTER, DESCRIBE_IMAGES, REGISTER, image_id
from econe.cli.progress import Bar, bar_line
from econe.cli.upload import UPLOAD

REGISTERED = xml("<RegisterImageResponse><imageId>ami-00000001</imageId></RegisterImageResponse>")
SUCCESS = "Success: ImageId ami-00000001\n"


def images(**more):
    fields = {
        "imageId": "ami-00000001",
        "imageLocation": "19ead5de585f43282acab4060bfb7a07",
        "imageState": "available",
        "imageOwnerId": "123456789012",
        "imageOwnerAlias": "helen",
        "isPublic": "false",
        **more,
    }
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return xml(f"<R><imagesSet><item>{inner}</item></imagesSet></R>")


# --- upload ------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(b"disk" * 100_000)
    return path


@pytest.mark.parametrize("how", [[], ["-M"], ["--multipart"]])
def test_upload_sends_the_file_and_prints_its_id(cloud, run, disk, how):
    cloud.answers = [REGISTERED]
    played = run(UPLOAD, *how, str(disk))
    assert (played.status, played.out, played.err) == (0, SUCCESS, "")
    assert cloud.received[0].file == disk.read_bytes()
    assert cloud.asked == [{"Action": "UploadImage", "Version": "2016-11-15"}]


def test_upload_says_what_the_image_is_called(cloud, run, disk):
    cloud.answers = [REGISTERED]
    run(UPLOAD, str(disk), "--name", "my disk", "--description", "d", "--architecture", "x86_64")
    asked = cloud.asked[0]
    assert asked["Name"] == "my disk"
    assert asked["Description"] == "d"
    assert asked["Architecture"] == "x86_64"


def test_upload_as_json(cloud, run, disk):
    cloud.answers = [REGISTERED]
    assert json.loads(run(UPLOAD, "--json", str(disk)).out) == {"imageId": "ami-00000001"}


def test_upload_without_a_file_speaks_the_old_words(cloud, run, tmp_path):
    words = "econe-upload: missing IMAGE-PATH parameter or file not found"
    assert run(UPLOAD).err == words + "\n"
    assert run(UPLOAD).status == 2
    missing = run(UPLOAD, str(tmp_path / "none"))
    assert missing.err == f"{words}: {tmp_path}/none: No such file or directory\n"
    assert missing.status == 1
    assert run(UPLOAD, str(tmp_path)).err == f"{words}: {tmp_path} is a directory\n"
    assert cloud.received == []


def test_what_the_cloud_finds_wrong_is_told(cloud, run, disk):
    cloud.answers = [error("InvalidParameterValue", "not a disk image")]
    played = run(UPLOAD, str(disk))
    assert (played.status, played.out) == (1, "")
    assert played.err == "econe-upload: not a disk image (InvalidParameterValue)\n"


# --- the bar -----------------------------------------------------------------------------


def test_the_bar_tells_share_rate_and_time_left():
    line = bar_line("disk.img", 512 << 20, 2048 << 20, 2.0, 100)
    assert line == f"disk.img [{'#' * 10}{' ' * 30}]  25%    256 MiB/s  0:06 left"


def test_the_full_bar_says_what_is_waited_for():
    line = bar_line("disk.img", 5, 5, 1.0, 100, then="the server looks at it")
    assert "100%" in line
    assert line.endswith("the server looks at it")


def test_the_bar_fits_every_terminal():
    for width in range(1, 200):
        for size in (0, 1, 1 << 40):
            line = bar_line("name " * 30, size // 3, size, 1.0, width)
            assert len(line) <= width


def test_what_comes_in_unknown_length_has_no_bar():
    assert bar_line("disk.img", 6 << 20, 0, 2.0, 100) == "disk.img 6 MiB 3 MiB/s"


def test_a_name_cannot_steer_the_terminal():
    assert "\x1b" not in bar_line("\x1b[31m", 1, 2, 1.0, 100)


def test_without_a_terminal_there_is_no_bar(capsys):
    bar = Bar("disk", "it is looked at")
    bar(5, 10)
    bar(10, 10)
    bar.clear()
    assert capsys.readouterr() == ("", "")


# --- register, deregister ----------------------------------------------------------------


@pytest.mark.parametrize("given", ["ami-00000001", "1", "00000001"])
def test_register_takes_the_id_or_its_number(cloud, run, given):
    cloud.answers = [REGISTERED]
    assert run(REGISTER, given).out == SUCCESS
    assert cloud.asked[0]["ImageLocation"] == "ami-00000001"


def test_register_says_which_firmware_the_disk_is_for(cloud, run):
    cloud.answers = [REGISTERED]
    assert run(REGISTER, "1", "--boot-mode", "uefi").out == SUCCESS
    assert cloud.asked[0]["BootMode"] == "uefi"


def test_short_ids_become_long_and_others_are_left_to_the_cloud():
    assert image_id("ami-1") == image_id("1") == image_id("00000001") == "ami-00000001"
    assert image_id("123456789") == "ami-123456789"
    assert image_id("ami-0123456789abcdef0") == "ami-0123456789abcdef0"
    assert image_id("nonsense") == "nonsense"
    assert image_id("²") == "²"


def test_deregister_prints_what_register_prints(cloud, run):
    cloud.answers = [xml("<R><return>true</return></R>")]
    assert run(DEREGISTER, "1").out == SUCCESS
    assert cloud.asked[0] == {
        "Action": "DeregisterImage",
        "Version": "2016-11-15",
        "ImageId": "ami-00000001",
    }


@pytest.mark.parametrize("tool", [REGISTER, DEREGISTER])
def test_registering_needs_an_image(run, tool):
    played = run(tool)
    assert (played.status, played.err) == (2, f"{tool.name}: missing ImageId parameter\n")


# --- describe ----------------------------------------------------------------------------


def test_describe_images_prints_the_guides_table(cloud, run):
    cloud.answers = [images()]
    assert run(DESCRIBE_IMAGES, "-H").out.splitlines() == [
        "Owner        ImageId       Status         Visibility   Location",
        "-" * 78,
        "helen        ami-00000001  available      private      19ead5de585f43282acab4060bfb7a07",
    ]


def test_a_public_image_is_public_and_an_unnamed_owner_a_number(cloud, run):
    cloud.answers = [images(isPublic="true", imageOwnerAlias="")]
    row = run(DESCRIBE_IMAGES).out.split()
    assert (row[0], row[3]) == ("123456789012", "public")


def test_describe_images_takes_ids(cloud, run):
    cloud.answers = [images()]
    run(DESCRIBE_IMAGES, "ami-1,ami-2")
    assert cloud.asked[0]["ImageId.2"] == "ami-2"
    assert "MaxResults" not in cloud.asked[0]


def test_describe_images_as_json(cloud, run):
    cloud.answers = [images()]
    told = json.loads(run(DESCRIBE_IMAGES, "--json").out)
    assert told["imagesSet"][0]["imageOwnerAlias"] == "helen"
