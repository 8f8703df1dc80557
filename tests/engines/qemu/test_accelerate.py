import pytest

from econe.domain.engine_ports import EngineRefused
from econe.engines.qemu.accelerate import Accelerator, Device, choose, cpu_flags, look_at_device

OPEN = Device(group=104)


@pytest.mark.parametrize("flag", ["vmx", "svm"])
def test_kvm_is_taken_where_the_processor_virtualises_and_the_device_opens(flag):
    assert choose("auto", {"sse", flag}, OPEN, own_users=False).name == "kvm"


def test_a_device_that_opens_proves_nothing_without_the_processors_flag():
    found = choose("auto", {"sse"}, OPEN, own_users=False)
    assert found == Accelerator("tcg", "the processor shows no vmx or svm flag")


def test_a_device_that_does_not_open_says_why():
    found = choose("auto", {"vmx"}, Device(problem="Permission denied"), own_users=False)
    assert found == Accelerator("tcg", "/dev/kvm does not open: Permission denied")


def test_guests_with_users_of_their_own_come_to_the_device_through_its_group():
    assert choose("auto", {"vmx"}, OPEN, own_users=True).group == 104
    assert choose("auto", {"vmx"}, OPEN, own_users=False).group is None
    assert choose("auto", {"vmx"}, Device(for_all=True), own_users=True).group is None


def test_a_device_for_root_only_is_none_for_guests_with_users_of_their_own():
    found = choose("auto", {"vmx"}, Device(), own_users=True)
    assert found.name == "tcg"
    assert "mode of /dev/kvm" in found.reason
    assert choose("auto", {"vmx"}, Device(), own_users=False).name == "kvm"


def test_tcg_is_taken_if_the_settings_say_so():
    assert choose("tcg", {"vmx"}, OPEN, own_users=False).name == "tcg"


def test_kvm_that_is_asked_for_and_cannot_be_had_is_refused():
    with pytest.raises(EngineRefused, match="no vmx or svm flag"):
        choose("kvm", set(), OPEN, own_users=False)


def test_flags_are_those_of_the_first_processor(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nflags\t\t: fpu vmx sse\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert cpu_flags(info) == {"fpu", "vmx", "sse"}
    info.write_text("Features\t: fp asimd\n")
    assert cpu_flags(info) == frozenset()


def test_the_mode_of_a_device_says_who_may_open_it(tmp_path):
    device = tmp_path / "kvm"
    assert look_at_device(device).problem == "No such file or directory"
    device.touch()
    for mode, by_group, by_all in (
        (0o600, False, False),
        (0o660, True, False),
        (0o666, True, True),
    ):
        device.chmod(mode)
        found = look_at_device(device)
        assert (found.group is not None, found.for_all, found.problem) == (by_group, by_all, "")
