"""Laws over every operation of the model, with botocore's own serializer and parser as oracles."""

import copy
import json
from urllib.parse import urlencode

import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from econe.wire import checks, model, query, xml
from econe.wire.refusal import Refusal

SERVICE = model.load()


def sent(given, operation):
    """The pairs that botocore sends, by way of the bytes on the wire."""
    serializer = create_serializer(operation.metadata["protocol"], include_validation=False)
    body = serializer.serialize_to_request(copy.deepcopy(given), operation)["body"]
    return query.split(query.read_pairs(urlencode(body).encode()))


@pytest.mark.parametrize("name", SERVICE.names)
def test_the_reader_inverts_the_official_client(name, sample_for):
    operation = SERVICE.operation(name)
    given = sample_for(operation.input_shape)
    asked = sent(given, operation)
    assert asked.action == name
    assert query.read_query(asked.own, operation) == given


@pytest.mark.parametrize("name", SERVICE.names)
def test_the_official_client_reads_back_what_the_writer_wrote(name, sample_for):
    operation = SERVICE.operation(name)
    answer = sample_for(operation.output_shape)
    body = xml.write_answer(operation, answer, "a-request-id", "2016-11-15")
    parser = create_parser(operation.metadata["protocol"])
    parsed = parser.parse({"body": body, "headers": {}, "status_code": 200}, operation.output_shape)
    assert parsed.pop("ResponseMetadata")["RequestId"] == "a-request-id"
    assert parsed == answer


@pytest.mark.parametrize("name", SERVICE.names)
def test_leaving_out_any_required_member_is_missing_parameter(name, sample_for):
    operation = SERVICE.operation(name)
    shape = operation.input_shape
    given = sample_for(shape)
    for required in shape.required_members if shape is not None else ():
        rest = {member: value for member, value in given.items() if member != required}
        with pytest.raises(Refusal) as refused:
            checks.check(rest, operation)
        assert refused.value.code == "MissingParameter"
        assert query.wire_name(shape.members[required], required) in refused.value.message


@pytest.mark.parametrize("name", SERVICE.names)
def test_a_handler_that_takes_nothing_refuses_every_parameter_but_dry_run(name, sample_for):
    operation = SERVICE.operation(name)
    for member, value in sample_for(operation.input_shape).items():
        if member == "DryRun":
            checks.refuse_unsupported({member: value}, operation, ())
            continue
        with pytest.raises(Refusal) as refused:
            checks.refuse_unsupported({member: value}, operation, ())
        assert refused.value.code == "UnsupportedOperation"
        checks.refuse_unsupported({member: value}, operation, {member})


@pytest.mark.parametrize("name", SERVICE.names)
def test_generic_parameters_are_no_operations_own(name):
    shape = SERVICE.operation(name).input_shape
    for member_name, member in shape.members.items() if shape is not None else ():
        wire = query.wire_name(member, member_name)
        assert not query.is_authentication(wire)
        assert wire not in ("Action", "Version")


def test_the_model_has_all_of_ec2_and_the_overlay():
    assert len(SERVICE.names) >= 765
    assert {"RunInstances", "UploadImage", "GetCallerIdentity"} <= set(SERVICE.names)
    assert json.dumps(SERVICE.operation("AssumeRole")) == "null"
