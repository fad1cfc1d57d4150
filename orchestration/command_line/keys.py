"""`quorum keys`: the keys by which each producer's messages are known, never their secrets."""

from typing import Annotated

import typer

from adapters.keys import KeyFolder
from domain.errors import InvalidValue
from domain.producers import Producer
from domain.seals import key_id
from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_json, print_table

keys = typer.Typer(no_args_is_help=True, help="The keys that messages are sealed with.")
app.add_typer(keys, name="keys", epilog="Example: quorum keys list")

_Producer = Annotated[Producer, typer.Argument(help="Whose: an agent, or another process.")]


@keys.command("list", epilog="Example: quorum keys list")
def list_keys(*, as_json: Json = False) -> None:
    """List each producer's keys by their ids, where they are, and which one seals.

    A process seals with the key that was its newest when it started; messages of all its keys
    are accepted.
    """
    folder = KeyFolder.of(load_settings())
    found = [
        {
            "producer": producer,
            "key_id": name,
            "seals": name == names[-1],
            "file": str(folder.file(producer)),
        }
        for producer in Producer
        for names in [_ids(folder, producer)]
        for name in names
    ]
    if as_json:
        print_json(found)
        return
    rows = [(k["producer"], k["key_id"], _use(seals=bool(k["seals"])), k["file"]) for k in found]
    print_table("Keys", ("producer", "key", "use", "file"), rows, empty="No key was made yet.")


@keys.command("rotate", epilog="Example: quorum keys rotate market_analyst")
def rotate(producer: _Producer, *, as_json: Json = False) -> None:
    """Give a producer a new key to seal with from its next start on; the old ones stay accepted.

    Start its process again, then remove the old key.
    """
    folder = KeyFolder.of(load_settings())
    before = _ids(folder, producer)
    added = key_id(folder.add(producer)).decode()
    if as_json:
        print_json({"producer": producer, "added": added, "still_accepted": before})
        return
    console.print(f"{producer} has a new key, {added}.", markup=False)
    if before:
        console.print(
            f"Start its process again, and once everything sealed before is taken in: "
            f"quorum keys remove {producer} {before[-1]}",
            markup=False,
            soft_wrap=True,
        )


@keys.command("remove", epilog="Example: quorum keys remove market_analyst 3f2a91c0")
def remove(
    producer: _Producer,
    key: Annotated[str, typer.Argument(help="The key's id.")],
    *,
    as_json: Json = False,
) -> None:
    """Accept a key no more, within a second; what was sealed with it is then a forgery.

    That is also true of dead letters that it sealed: put those back before.
    """
    folder = KeyFolder.of(load_settings())
    if not folder.remove(producer, key):
        raise InvalidValue(
            f"{producer} has no key {key!r:.40}.", next_step="`quorum keys list` shows all."
        )
    if as_json:
        print_json({"producer": producer, "removed": key})
    else:
        console.print(f"{producer}'s key {key} is accepted no more.", markup=False)


def _ids(folder: KeyFolder, producer: Producer) -> list[str]:
    return [key_id(secret).decode() for secret in folder.keys(producer)]


def _use(*, seals: bool) -> str:
    return "seals" if seals else "accepted"
