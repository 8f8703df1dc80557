"""one.image.* and one.imagepool.info."""

from tests.support.oned import capacity
from tests.support.oned.calls import changing
from tests.support.oned.calls.finding import found, page
from tests.support.oned.errors import ACTION, ALLOCATE, INTERNAL, Refused, missing, unauthorized
from tests.support.oned.image_life import STATE_NAMES
from tests.support.oned.images import TYPES, Image, ImageState
from tests.support.oned.names import check_free, checked_name
from tests.support.oned.objects import Datastore
from tests.support.oned.protocol import Answer, Args
from tests.support.oned.registry import method
from tests.support.oned.rights import RESTRICTED_IMAGE, Caller, Op, restricted
from tests.support.oned.templates import Template
from tests.support.oned.world import World

_BEFORE = "Error allocating a new image. "
_OWN = ("NAME", "TYPE", "PATH", "SOURCE", "SIZE", "PERSISTENT", "FORMAT", "FSTYPE", "FS", "DRIVER")


def image_for(
    world: World, caller: Caller, number: int, op: Op, *, despite_lock: bool = False
) -> Image:
    return found(world, caller, world.images, Image, number, op, despite_lock=despite_lock)


@method("one.image.allocate")
def allocate(world: World, caller: Caller, args: Args) -> Answer:
    template, number = Template.parse(args.text(0)), args.integer(1)
    skips_capacity = caller.is_admin and args.yes(2, default=False)
    datastore = world.datastores.get(number)
    if datastore is None:
        raise missing("datastore", number)
    if datastore.type == 1:
        text = "New images can only be allocated in a files or image datastore."
        raise Refused(ALLOCATE, f"{_BEFORE}{text}")
    size = _size_mb(world, datastore, template)
    if not skips_capacity and size > datastore.free_mb:
        raise Refused(ACTION, "Not enough space in datastore")
    _check_may(world, caller, template, datastore, size)
    image = _image(world, caller, template, datastore, size)
    world.image_life.add(image)
    world.image_life.begin_copy(image)
    return image.id


def _size_mb(world: World, datastore: Datastore, template: Template) -> int:
    """ImageManager::stat_image: by the driver for a PATH, else by SIZE."""
    path = template.get("PATH")
    if path:
        return world.copies.size_mb(datastore, path)
    size = template.get("SIZE")
    if not size.isdigit() or int(size) == 0:
        text = "Cannot parse image SIZE: Wrong number or missing SIZE attribute."
        raise Refused(INTERNAL, text)
    return int(size)


def _check_may(
    world: World, caller: Caller, template: Template, datastore: Datastore, size: int
) -> None:
    if not caller.is_admin and (name := restricted(template, RESTRICTED_IMAGE)) is not None:
        raise unauthorized(caller.uid, f"Template includes a restricted attribute {name}")
    world.rights.check_create(caller, "IMAGE")
    world.rights.check(caller, Op.USE, datastore)
    more = {"IMAGES": 1, "SIZE": size}
    capacity.check(world, caller, "DATASTORE", datastore.id, more)


def _image(
    world: World, caller: Caller, template: Template, datastore: Datastore, size: int
) -> Image:
    name = checked_name(template.get("NAME").rstrip(), ALLOCATE, _BEFORE)
    kind = template.get("TYPE").upper() or "OS"
    if kind not in TYPES:
        raise Refused(ALLOCATE, f"{_BEFORE}Unknown type ")
    check_free(name, caller.uid, world.images.values(), ALLOCATE, "IMAGE", _BEFORE)
    path, persistent = template.get("PATH"), template.get("PERSISTENT").upper()
    kept = template.copy()
    for own in _OWN:
        kept.drop(own)
    if "DEV_PREFIX" not in kept:
        kept.set("DEV_PREFIX", "hd" if kind == "CDROM" else "sd")
    return Image(
        **world.owned_by(caller, "image"),
        name=name,
        type=TYPES.index(kind),
        persistent=persistent in ("YES", "Y", "TRUE"),
        registered=world.now,
        path=path,
        # Given, it stands at once for an empty disk; of a copy the driver tells it at the end.
        format="" if path else template.get("FORMAT") or "raw",
        fs=template.get("FS") or template.get("FSTYPE"),
        size_mb=size,
        datastore_id=datastore.id,
        datastore=datastore.name,
        template=kept,
    )


@method("one.image.info")
def info(world: World, caller: Caller, args: Args) -> Answer:
    return image_for(world, caller, args.integer(0), Op.USE, despite_lock=True).xml()


@method("one.imagepool.info")
def pool(world: World, caller: Caller, args: Args) -> Answer:
    listed = page(world, caller, args, world.images.values())
    return f"<IMAGE_POOL>{''.join(image.xml() for image in listed)}</IMAGE_POOL>"


@method("one.image.enable")
def enable(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    image = image_for(world, caller, number, Op.MANAGE)
    world.image_life.enable(image, to=args.yes(1))
    return number


@method("one.image.delete")
def delete(world: World, caller: Caller, args: Args) -> Answer:
    number = args.integer(0)
    force = args.yes(1, default=False)
    image = image_for(world, caller, number, Op.ADMIN if force else Op.MANAGE)
    world.image_life.delete(image, force=force)
    return number


@method("one.image.update")
def update(world: World, caller: Caller, args: Args) -> Answer:
    image = image_for(world, caller, args.integer(0), Op.MANAGE)
    changed = changing.update(image.template, args)
    if not caller.is_admin and "SOURCE" in changed:
        text = "User Template includes a restricted attribute SOURCE"
        raise Refused(INTERNAL, f"Cannot update template. {text}")
    image.template = changed
    return image.id


@method("one.image.chmod")
def chmod(world: World, caller: Caller, args: Args) -> Answer:
    return changing.change_rights(world, caller, world.images, Image, args)


@method("one.image.chown")
def chown(world: World, caller: Caller, args: Args) -> Answer:
    image = world.images.get(args.integer(0))
    if image is None:
        raise missing("image", args.integer(0))
    world.image_life.charge(image, -1)
    try:
        return changing.change_owner(world, caller, world.images, Image, args)
    finally:
        world.image_life.charge(image, 1)


@method("one.image.rename")
def rename(world: World, caller: Caller, args: Args) -> Answer:
    image = image_for(world, caller, args.integer(0), Op.MANAGE)
    return changing.rename(image, args, world.images)


@method("one.image.lock")
def lock(world: World, caller: Caller, args: Args) -> Answer:
    return changing.lock(world, caller, world.images, Image, args)


@method("one.image.unlock")
def unlock(world: World, caller: Caller, args: Args) -> Answer:
    return changing.unlock(world, caller, world.images, Image, args)


@method("one.image.chtype")
def change_type(world: World, caller: Caller, args: Args) -> Answer:
    number, kind = args.integer(0), args.text(1).upper()
    image = image_for(world, caller, number, Op.MANAGE)
    if kind not in TYPES:
        raise Refused(INTERNAL, "Unknown type ")
    image.type = TYPES.index(kind)
    return number


@method("one.image.persistent")
def persistent(world: World, caller: Caller, args: Args) -> Answer:
    number, wanted = args.integer(0), args.yes(1)
    image = image_for(world, caller, number, Op.MANAGE)
    if image.machines:
        state = STATE_NAMES[image.state]
        word = "persistent" if wanted else "non-persistent"
        text = f"Could not make image {word}: Image cannot be in state {state}."
        raise Refused(INTERNAL, text)
    image.persistent = wanted
    return number


@method("one.image.clone")
def clone(world: World, caller: Caller, args: Args) -> Answer:
    number, name, where = args.integer(0), args.text(1), args.integer(2, -1)
    original = image_for(world, caller, number, Op.USE)
    datastore = world.datastores.get(original.datastore_id if where == -1 else where)
    if datastore is None:
        raise missing("datastore", where)
    world.rights.check_create(caller, "IMAGE")
    world.rights.check(caller, Op.USE, datastore)
    return clone_of(world, caller, original, name).id


def clone_of(world: World, caller: Caller, original: Image, name: str) -> Image:
    if original.size_mb > world.datastores[original.datastore_id].free_mb:
        raise Refused(ACTION, "Not enough space in datastore")
    more = {"IMAGES": 1, "SIZE": original.size_mb}
    capacity.check(world, caller, "DATASTORE", original.datastore_id, more)
    checked_name(name, ALLOCATE, _BEFORE)
    check_free(name, caller.uid, world.images.values(), ALLOCATE, "IMAGE", _BEFORE)
    if original.state not in (ImageState.READY, ImageState.USED, ImageState.CLONE):
        raise Refused(ALLOCATE, f"{_BEFORE}Cannot clone image in current state")
    image = world.image_life.copy_of(original, world.owned_by(caller, "image"), name)
    world.image_life.add(image)
    world.image_life.begin_clone(image, original)
    return image
