"""`kubectl swarmrun`: what a run will do, what it does, and the few switches a person has."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from swarm_cli import commands, watching
from swarm_cli.kubectl import RUNS, Kubectl, KubectlError
from swarm_cli.output import Format, Out
from swarmrun.core.errors import Invalid
from swarmrun.core.money import format_usd, parse_usd

app = typer.Typer(
    name="kubectl swarmrun",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Plan, watch and steer runs of coding agents. Reads and writes through kubectl only.",
)

File = Annotated[str, typer.Option("-f", "--filename", help="YAML file, or - for standard input.")]
Name = Annotated[str, typer.Argument(help="Name of the SwarmRun.")]
Namespace = Annotated[str | None, typer.Option("-n", "--namespace", help="Namespace of the run.")]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig to use.")]
Kubeconfig = Annotated[str | None, typer.Option("--kubeconfig", help="Path of the kubeconfig.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Let the API server judge the change, and change nothing.")
]


def guarded(action: Callable[[Out], int | None]) -> None:
    """Run a command: errors go to standard error in words, never as a traceback."""
    out = Out()
    try:
        code = action(out) or 0
    except Invalid as error:
        out.problems(error.problems)
        code = 1
    except KubectlError as error:
        out.error(str(error))
        code = 1
    except KeyboardInterrupt:
        code = 130
    raise typer.Exit(code)


@app.command()
def plan(
    file: File,
    output: Annotated[Format, typer.Option("-o", "--output", help="Form of the answer.")] = Format.TABLE,
) -> None:
    """Show the tasks of a run, their order and what they will cost. Needs no cluster."""
    guarded(lambda out: commands.plan(out, file, output))


@app.command()
def lint(file: File) -> None:
    """Check a file as the operator will, and name every fault at once. Needs no cluster."""
    guarded(lambda out: commands.lint(out, file))


@app.command()
def status(
    name: Annotated[str, typer.Argument(help="Name of the SwarmRun; without it, all runs are listed.")] = "",
    *,
    watch: Annotated[
        bool, typer.Option("-w", "--watch", help="Keep the screen current until the run ends.")
    ] = False,
    everywhere: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="List runs of all namespaces.")
    ] = False,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.")] = "text",
    ascii_only: Annotated[bool, typer.Option("--no-utf8", help="Use ASCII symbols.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show a run on one screen: tasks, agents, tests, cost, activity, and the next command."""
    kubectl = Kubectl(namespace, context, kubeconfig)

    def action(out: Out) -> int:
        if not name:
            return commands.list_runs(out, kubectl, everywhere=everywhere)
        if watch:
            return watching.watch(out, kubectl, name, ascii_only=ascii_only)
        return commands.status(out, kubectl, name, as_json=output == "json", ascii_only=ascii_only)

    guarded(action)


@app.command()
def check(
    name: Name,
    output: Annotated[
        Literal["table", "json"], typer.Option("-o", "--output", help="Form of the answer.")
    ] = "table",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Check that all a run says of itself agrees: exit 0 when it does, 1 when a check failed."""
    kubectl = Kubectl(namespace, context, kubeconfig)
    guarded(lambda out: commands.check_run(out, kubectl, name, as_json=output == "json"))


@app.command()
def report(
    name: Name,
    output: Annotated[str, typer.Option("-o", "--output", help="md or json.")] = "md",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the execution report of a run."""
    kubectl = Kubectl(namespace, context, kubeconfig)
    guarded(lambda out: commands.report(out, kubectl, name, output))


@app.command()
def wait(
    name: Name,
    timeout: Annotated[int, typer.Option("--timeout", help="Longest wait in seconds.", min=1)] = 86_400,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Wait for a run's end: exit 0 when it succeeded, 1 when it failed or was cancelled, 2 on timeout."""
    kubectl = Kubectl(namespace, context, kubeconfig)
    guarded(lambda out: watching.wait(out, kubectl, name, timeout_seconds=timeout))


def _switch(kubectl: Kubectl, name: str, patch: Any, verb: str, *, dry_run: bool) -> Callable[[Out], int]:
    def action(out: Out) -> int:
        kubectl.patch(name, patch, dry_run=dry_run)
        out.line(f"swarmrun/{name} {verb}{' (dry run)' if dry_run else ''}")
        return 0

    return action


@app.command()
def suspend(
    name: Name,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Stop new work and scale the agents to zero; nothing is lost."""
    kubectl = Kubectl(namespace, context, kubeconfig)
    guarded(_switch(kubectl, name, {"spec": {"suspend": True}}, "suspended", dry_run=dry_run))


@app.command()
def resume(
    name: Name,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Let a suspended run go on."""
    kubectl = Kubectl(namespace, context, kubeconfig)
    guarded(_switch(kubectl, name, {"spec": {"suspend": False}}, "resumed", dry_run=dry_run))


@app.command()
def cancel(
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """End a run for good. What is on the branch stays."""
    if sys.stdin.isatty() and not (yes or dry_run):
        typer.confirm(f"Cancel swarmrun/{name} for good?", abort=True, err=True)
    kubectl = Kubectl(namespace, context, kubeconfig)
    guarded(_switch(kubectl, name, {"spec": {"cancel": True}}, "cancelled", dry_run=dry_run))


@app.command()
def topup(
    name: Name,
    *,
    usd: Annotated[str, typer.Option("--usd", help="US dollars to add to the budget, such as 5 or 2.50.")],
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Raise a run's budget; a run that stopped for lack of it goes on."""
    kubectl = Kubectl(namespace, context, kubeconfig)

    def action(out: Out) -> int:
        try:
            more = parse_usd(usd)
        except ValueError as error:
            out.error(f"--usd {error}")
            return 1
        if more <= 0:
            out.error('--usd must be greater than 0, such as "5"; a budget may only rise')
            return 1
        old = kubectl.get(RUNS, name)["spec"]["budget"]["maxCostUSD"]
        new = format_usd(parse_usd(old) + more)
        path = "/spec/budget/maxCostUSD"
        # The test makes two top-ups at once add up: the second fails instead of overwriting the first.
        patch = [{"op": "test", "path": path, "value": old}, {"op": "replace", "path": path, "value": new}]
        kubectl.patch(name, patch, dry_run=dry_run)
        out.line(f"swarmrun/{name} topped up from ${old} to ${new}{' (dry run)' if dry_run else ''}")
        return 0

    guarded(action)


def main() -> None:
    """Run the program; under kubectl its name is `kubectl swarmrun`."""
    app(prog_name="kubectl swarmrun")
