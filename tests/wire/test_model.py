import json
import sys
from subprocess import run

from econe.wire import model


def test_loading_the_model_needs_little_of_botocore():
    code = (
        "import sys; from econe.wire import model; model.load()\n"
        "print([name for name in ('botocore.session', 'botocore.loaders', 'botocore.client',"
        " 'boto3') if name in sys.modules])"
    )
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_model_is_loaded_once():
    assert model.load() is model.load()


def test_no_prose_is_kept():
    (description,) = {
        id(home._service_description): home._service_description
        for home in model.load()._home.values()
        if home.service_name == "ec2"
    }.values()
    text = json.dumps(description)
    assert "<p>" not in text
    assert len(text) < 2_000_000


def test_the_overlay_adds_to_shapes_and_takes_nothing_away():
    service = model.load()
    described = service.operation("DescribeInstances").output_shape
    reservation = described.members["Reservations"].member.members
    assert {"OwnerId", "OwnerAlias", "Instances"} <= set(reservation)
    instance = reservation["Instances"].member.members
    assert {"InstanceId", "SshAddress"} <= set(instance)
    image = service.operation("DescribeImages").output_shape.members["Images"].member.members
    assert {"ImageLocation", "Registered"} <= set(image)
    assert set(service.operation("UploadImage").input_shape.members) == {
        "Name",
        "Description",
        "Architecture",
        "Datastore",
        "DiskType",
        "DiskFormat",
        "Driver",
        "DryRun",
    }
