"""What shells complete: commands, options, operations, parameters, files. No plugin is imported."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .running import PATIENCE

LOUD = "raise SystemExit('imported')\n"
#: What bash does when TAB is pressed: it splits the line, also at "=", and takes COMPREPLY.
BASH = """
eval "$SCRIPT"
compopt() { echo "compopt $1 $2"; }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_pitstop_completion pitstop "${COMP_WORDS[COMP_CWORD]}" ""
(( ${#COMPREPLY[@]} )) && printf '%s\\n' "${COMPREPLY[@]}"
true
"""


@pytest.fixture
def bash(pitstop):
    """Return what bash completes for the words of a line, the last of which is being typed."""
    script = pitstop(_PITSTOP_COMPLETE="bash_source").out

    def complete(*words: str) -> list[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**pitstop.environment, "PATH": path, "SCRIPT": script}
        command = ["bash", "--norc", "-c", BASH, "bash", "pitstop", *words]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=pitstop.folder, timeout=PATIENCE, check=True
        )
        assert done.stderr == ""
        return done.stdout.split("\n")[:-1]

    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    return complete


@pytest.fixture
def shop(pitstop):
    """A plugin that cannot be imported, with operations, and commands written in several ways."""
    pitstop.package(
        "acme-shop",
        {
            "pitstop.commands": {"shop": "acme_shop:shop", "sell": "acme_sell.commands:sell", "odd": "gone:odd"},
            "pitstop.operations.selling": {"shop.sell": "acme_sell:sell_one", "shop.send": "acme_sell:send"},
            "pitstop.workers": {"selling": "acme_sell:Worker"},
        },
        {
            "acme_shop": "import click\nfrom acme_options import colours, rest, KINDS\n"
            "@click.group()\n@click.option('--quiet', is_flag=True)\ndef shop(): 'Keep a shop.'\n"
            "@shop.command('open')\n@colours\n@rest\n"
            "@click.option('--kind', type=click.Choice(KINDS))\n"
            "@click.option('--made', type=click.Choice([k.lower() for k in KINDS]), help='Of what it is made.')\n"
            "@click.argument('place', type=click.Path())\ndef open_it(): 'Open it.'\n"
            "@shop.command()\ndef close(): 'Close it.'\n" + LOUD,
            "acme_options": "import click\nKINDS = ('big', 'small')\n"
            "colours = click.option('--colour', multiple=True)\n"
            "def rest(command):\n    for each in _REST: command = rest(each(command))\n    return command\n"
            "_REST = (click.option('-n', '--name'), click.option('--secret', hidden=True), colours)\n" + LOUD,
            "acme_sell": "def sell_one(context, *, price: int, to: str = ''): 'Sell one.'\n"
            "def send(context): 'Send it.'\n" + LOUD,
        },
    )
    package = pitstop.folder / "site" / "acme_sell"
    package.mkdir()
    (pitstop.folder / "site" / "acme_sell.py").rename(package / "__init__.py")
    (package / "commands.py").write_text(
        "import click\nfrom pitstop.cli.options import OperationAssignment, OperationNames, run_options\n"
        "TYPE = 'selling'\n@click.command()\n@click.option('--operations', type=OperationNames(TYPE))\n"
        "@click.option('--set', type=OperationAssignment(TYPE))\n@run_options(runner='process')\n"
        "def sell(): 'Sell.'\n" + LOUD
    )
    return pitstop


def test_bash_completes_commands(bash, shop):
    """Those of Pitstop and those of plugins."""
    assert bash("s") == ["sell", "shop"]
    assert bash("") == [
        *["run", "jobs", "workers", "operations", "new", "plugins", "doctor"],
        *["demo", "inspect", "maintain", "odd", "plan", "report", "sell", "shop"],
    ]
    assert bash("jobs", "h") == ["history"]
    assert bash("shop", "") == ["close", "open"]


def test_bash_completes_options_of_a_command_that_is_not_imported(bash, shop):
    """Through decorators and constants of other modules; hidden ones are not shown, nor those given already."""
    assert bash("shop", "-") == ["--quiet", "-h", "--help"]
    assert bash("shop", "open", "--") == ["--colour", "--name", "--kind", "--made", "--help"]
    assert bash("shop", "open", "--name", "x", "--n") == []
    assert {"--operations", "--store", "--json", "--runner"} < set(bash("sell", "--"))
    assert bash("maintain", "app.db", "--op") == ["--operations"]


def test_bash_completes_values(bash, shop):
    """Of choices that are literals, and of what types of Pitstop know."""
    assert bash("shop", "open", "--kind", "") == ["big", "small"]
    assert bash("shop", "open", "--kind", "=", "b") == ["big"]
    assert bash("shop", "open", "--made", "") == []
    assert bash("sell", "--runner", "p") == ["process"]
    assert bash("run", "s") == ["selling"]
    assert bash("operations", "shop.s") == ["shop.sell", "shop.send"]
    assert bash("operations", "sen") == ["send"]


def test_bash_completes_operations_and_their_parameters(bash, shop):
    """One after the other, separated by commas; behind a dot the parameters, without a space behind "="."""
    assert bash("sell", "--operations", "s") == ["sell", "send"]
    assert bash("sell", "--operations", "sell,s") == ["sell,send"]
    nospace = ["compopt -o nospace"]
    assert bash("sell", "--set", "sel") == [*nospace, "sell."]
    assert bash("sell", "--set", "sell.") == [*nospace * 2, "sell.price=", "sell.to="]
    assert bash("sell", "--set", "sell.price", "=", "1") == []
    assert bash("sell", "--set", "=", "sell.t") == [*nospace, "sell.to="]
    assert bash("maintain", "app.db", "--set", "analyze.l") == [*nospace, "analyze.limit="]


@pytest.mark.parametrize(
    "words",
    [("maintain", ""), ("inspect", "a"), ("plan", "a.db", ""), ("report", "x"), ("shop", "open", ""), ("odd", "")],
)
def test_bash_completes_files(bash, shop, words):
    """Databases are files; a command of which nothing is known may take some, too."""
    assert bash(*words) == ["compopt -o default"]


def ask(pitstop, shell: str, *words: str):
    """Return what a shell other than bash is told, which gives the line as it is."""
    line = " ".join(["pitstop", *words])
    place = words[-1] if shell == "fish" else str(len(words))
    return pitstop(_PITSTOP_COMPLETE=f"{shell}_complete", COMP_WORDS=line, COMP_CWORD=place)


def test_zsh_and_fish_show_what_commands_do(shop):
    """They are told the same help as `pitstop --help` shows."""
    zsh = ask(shop, "zsh", "sh")
    assert (zsh.code, zsh.out, zsh.err) == (0, "plain\nshop\nKeep a shop.\n", "")
    fish = ask(shop, "fish", "sh")
    assert (fish.code, fish.out, fish.err) == (0, "plain,shop\tKeep a shop.\n", "")
    assert ask(shop, "zsh", "sell", "--set", "sell.p").out == "plain\nsell.price=\n_\n"
    assert ask(shop, "fish", "sell", "--set", "sell.p").out == "plain,sell.price=\n"


@pytest.mark.parametrize(
    "words", [("nosuch", "x"), ("acme-shop/shop", "open", "--na"), ("--nosuch", ""), ("run", "--file", "")]
)
def test_completion_of_anything_is_no_error(shop, words):
    """Whatever stands in the line, nothing is written into it but completions."""
    answer = ask(shop, "zsh", *words)
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(pitstop, shell):
    """It is printed by the one line that is documented."""
    answer = pitstop(_PITSTOP_COMPLETE=f"{shell}_source")
    assert answer.code == 0
    assert f"_PITSTOP_COMPLETE={shell}_complete" in answer.out
    if shutil.which(shell):
        subprocess.run([shell, "-n", "-c", answer.out], check=True, timeout=PATIENCE)
