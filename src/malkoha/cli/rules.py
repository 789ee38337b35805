"""``malkoha rules``: the user's own rules: YARA, Sigma and capa."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from malkoha.cli import terminal
from malkoha.errors import UsageError

if TYPE_CHECKING:
    from malkoha.rules.sets import Kind, RuleSet

app = typer.Typer(
    name="rules", no_args_is_help=False, help="Add, update, list, test and remove YARA, Sigma and capa rules."
)

Name = Annotated[str, typer.Argument(help="The set.", metavar="NAME")]


@app.command()
def add(
    folder: Annotated[Path, typer.Argument(help="A folder of rules, or one file.", metavar="FOLDER")],
    name: Annotated[str | None, typer.Option(help="What to call the set.", show_default="that of the folder")] = None,
    yara: Annotated[bool, typer.Option("--yara", help="Take YARA rules only.")] = False,
    sigma: Annotated[bool, typer.Option("--sigma", help="Take Sigma rules only.")] = False,
    capa: Annotated[bool, typer.Option("--capa", help="Take the files as rules of capa.")] = False,
    debug: terminal.Debug = False,
) -> None:
    """Copy the rules of a folder; every analysis from now on uses them.

    \b
    Examples:
      malkoha rules add ./my-yara
      malkoha rules add --sigma ./sigma/rules/linux --name sigmahq
      malkoha rules add --capa ./capa-rules
    """
    from malkoha.rules import sets

    home, _ = terminal.surroundings()
    chosen: tuple[Kind, ...] = ("yara", "sigma") if yara == sigma else ("yara",) if yara else ("sigma",)
    if capa:
        if yara or sigma:
            raise UsageError(
                "--capa stands alone", "its files look like those of Sigma", "add the others as another set"
            )
        chosen = ("capa",)
    _say(sets.add(home, folder, kinds=chosen, name=name))


@app.command()
def update(
    name: Annotated[str | None, typer.Argument(help="The set.", metavar="NAME", show_default="all")] = None,
    debug: terminal.Debug = False,
) -> None:
    """Copy sets anew from the folders that they came from.

    \b
    Examples:
      malkoha rules update
      malkoha rules update sigmahq
    """
    from malkoha.rules import sets

    home, _ = terminal.surroundings()
    for each in [name] if name else [known.name for known in sets.every(home)]:
        _say(sets.update(home, each))


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False, debug: terminal.Debug = False
) -> None:
    """List the sets; the one that comes with malkoha is first.

    \b
    Examples:
      malkoha rules list
      malkoha rules list --json
    """
    from malkoha.rules import sets
    from malkoha.rules.yara import bundled

    home, _ = terminal.surroundings()
    known = sets.every(home)
    if as_json:
        terminal.write_json(known)
        return
    rows = [("malkoha", f"{len(bundled())} yara", "", "comes with malkoha")]
    rows += [(each.name, _files(each), f"{each.updated_at:%Y-%m-%d %H:%M}", each.origin) for each in known]
    terminal.table(("set", "files", "updated (UTC)", "from"), rows)


@app.command("test")
def check(debug: terminal.Debug = False) -> None:
    """Compile all rules and name those that cannot be used; exit status 2 when there are any.

    \b
    Examples:
      malkoha rules test
    """
    from malkoha.rules import sets
    from malkoha.rules.yara import bundled, compile_rules

    home, _ = terminal.surroundings()
    compiled = compile_rules([*bundled(), *sets.files(home, "yara")])
    errors = [str(error) for error in compiled.errors]
    print(f"{compiled.sources} files of YARA rules")
    sigma = sets.files(home, "sigma")
    if sigma:
        from malkoha.rules.sigma import convert_all

        converted = convert_all(sigma, home.cache)
        silent = sum(1 for rule in converted.rules if not rule.table)
        print(f"{len(converted.rules)} Sigma rules, {silent} of them on logs that a trace does not have")
        errors += converted.errors
    for error in errors:
        print(terminal.plain(error))
    if errors:
        raise UsageError(f"{len(errors)} rules cannot be used", "", "the lines above say why")


@app.command()
def remove(name: Name, debug: terminal.Debug = False) -> None:
    """Remove a set.

    \b
    Examples:
      malkoha rules remove sigmahq
    """
    from malkoha.rules import sets

    home, _ = terminal.surroundings()
    sets.remove(home, name)


def _say(made: RuleSet) -> None:
    note = f", {made.skipped} files were too large or too many" if made.skipped else ""
    print(f"{made.name}\t{_files(made)}{note}")


def _files(each: RuleSet) -> str:
    return ", ".join(f"{number} {kind}" for kind, number in each.files.items())
