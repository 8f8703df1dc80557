"""one.template.* and one.templatepool.info."""

from tests.support.oned import allocation
from tests.support.oned.calls import changing, images
from tests.support.oned.calls.finding import found, page
from tests.support.oned.errors import ALLOCATE, INTERNAL, Refused, unauthorized
from tests.support.oned.names import check_free, checked_name
from tests.support.oned.objects import MachineTemplate
from tests.support.oned.protocol import Answer, Args
from tests.support.oned.registry import method
from tests.support.oned.rights import RESTRICTED_VM, Caller, Op, restricted
from tests.support.oned.templates import Template
from tests.support.oned.world import World


def template_for(
    world: World, caller: Caller, number: int, op: Op, *, despite_lock: bool = False
) -> MachineTemplate:
    pool = world.templates
    return found(world, caller, pool, MachineTemplate, number, op, despite_lock=despite_lock)


@method("one.template.allocate")
def allocate(world: World, caller: Caller, args: Args) -> Answer:
    template = Template.parse(args.text(0))
    world.rights.check_create(caller, "TEMPLATE")
    name = template.get("NAME")
    template.drop("NAME")
    return _new(world, caller, name, template).id


def _new(world: World, caller: Caller, name: str, template: Template) -> MachineTemplate:
    checked_name(name, INTERNAL)
    check_free(name, caller.uid, world.templates.values(), INTERNAL, "TEMPLATE")
    made = MachineTemplate(
        **world.owned_by(caller, "template"), name=name, registered=world.now, template=template
    )
    world.templates[made.id] = made
    return made


@method("one.template.info")
def info(world: World, caller: Caller, args: Args) -> Answer:
    """The second argument asks for the template as an instantiation would fill it in; the model
    does not know that form and refuses to guess."""
    template = template_for(world, caller, args.integer(0), Op.USE, despite_lock=True)
    if args.yes(1, default=False):
        raise NotImplementedError("one.template.info with extended=true")
    return template.xml()


@method("one.templatepool.info")
def pool(world: World, caller: Caller, args: Args) -> Answer:
    listed = page(world, caller, args, world.templates.values())
    return f"<VMTEMPLATE_POOL>{''.join(each.xml() for each in listed)}</VMTEMPLATE_POOL>"


@method("one.template.delete")
def delete(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    template = template_for(world, caller, number, Op.MANAGE)
    if args.yes(1, default=False):
        for disk in template.template.vectors("DISK"):
            image = world.images.get(int(disk.get("IMAGE_ID", "-1")))
            if image is not None:
                world.rights.check(caller, Op.MANAGE, image)
                world.image_life.delete(image, force=False)
    del world.templates[number]
    return number


@method("one.template.update")
def update(world: World, caller: Caller, args: Args) -> Answer:
    template = template_for(world, caller, args.integer(0), Op.MANAGE)
    template.template = changing.update(template.template, args)
    return template.id


@method("one.template.chmod")
def chmod(world: World, caller: Caller, args: Args) -> Answer:
    return changing.change_rights(world, caller, world.templates, MachineTemplate, args)


@method("one.template.rename")
def rename(world: World, caller: Caller, args: Args) -> Answer:
    template = template_for(world, caller, args.integer(0), Op.MANAGE)
    return changing.rename(template, args, world.templates)


@method("one.template.instantiate")
def instantiate(world: World, caller: Caller, args: Args) -> Answer:
    """What the extra template names replaces what the template has under that name: all DISKs by
    one DISK (econe.md, 5.5)."""
    number, name, hold = args.integer(0), args.text(1), args.yes(2, default=False)
    extra_text, persistent = args.text(3, ""), args.yes(4, default=False)
    template = template_for(world, caller, number, Op.USE)
    merged = template.template.copy()
    if extra_text:
        extra = Template.parse(extra_text)
        if not caller.is_admin and (bad := restricted(extra, RESTRICTED_VM)) is not None:
            whole = next(each for each in extra.names() if _names(extra, each, bad))
            text = f"User Template includes a restricted attribute {whole}"
            raise unauthorized(caller.uid, text)
        merged.merge(extra)
    source = template
    if persistent:
        source = _persistent_copy(world, caller, template, merged, name)
        merged = source.template.copy()
        merged.set("CLONING_TEMPLATE_ID", str(number))
    merged.set("TEMPLATE_ID", str(source.id))
    merged.set("TEMPLATE_NAME", source.name)
    if name:
        merged.set("NAME", name)
    try:
        return allocation.allocate(world, caller, merged, hold=hold).id
    except Refused as refused:
        if refused.code != INTERNAL:
            raise
        # Where one.vm.allocate answers 0x2000 (seen at a real oned).
        text = f"Error allocating a new virtual machine template. {refused.text}"
        raise Refused(ALLOCATE, text) from refused


def _names(template: Template, name: str, restricted_name: str) -> bool:
    return name == restricted_name or any(
        restricted_name in vector for vector in template.vectors(name)
    )


def _persistent_copy(
    world: World, caller: Caller, template: MachineTemplate, merged: Template, name: str
) -> MachineTemplate:
    """A template of its own whose images are persistent copies (288, 289)."""
    copy_name = name or f"{template.name}-copy"
    allocation.check_quotas(world, caller, merged)
    world.rights.check_create(caller, "TEMPLATE")
    world.rights.check_create(caller, "IMAGE")
    copied = merged.copy()
    for number, disk in enumerate(copied.vectors("DISK")):
        image = world.images.get(int(disk.get("IMAGE_ID", "-1")))
        if image is None:
            raise Refused(ALLOCATE, f"Failed to clone DISK/IMAGE {number}")
        clone = images.clone_of(world, caller, image, f"{copy_name}-disk-{number}")
        clone.persistent = True
        disk["IMAGE_ID"] = str(clone.id)
    return _new(world, caller, copy_name, copied)
