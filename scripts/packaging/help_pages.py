#!/usr/bin/env python3
"""Makes man pages and the completion of bash, zsh and fish from what `verge --help` and `verge COMMAND --help` print."""

import argparse
import os
import re
import subprocess
import time
from pathlib import Path


def help_of(program, *words):
    # The defaults that a page names are those of any user, not of who makes it.
    environment = {"PATH": os.environ["PATH"], "HOME": "~"}
    return subprocess.run([program, *words, "--help"], env=environment, check=True, capture_output=True, text=True).stdout


class Command:
    """A (sub)command: its help in parts."""

    def __init__(self, program, words):
        self.words = words
        text = help_of(program, *words)
        about, _, rest = text.partition("\nUsage: ")
        self.about = " ".join(about.split())
        self.usage = rest.split("\n", 1)[0].strip()
        self.sections = {}  # title -> [(term, text)]
        title = None
        for line in rest.splitlines()[1:]:
            if m := re.match(r"^(\w[\w ]*):$", line):
                title = self.sections.setdefault(m[1], [])
            elif title is not None and (m := re.match(r"^  (\S.*?)(?:  +(\S.*))?$", line)) and not line.startswith("   "):
                term, said = m[1], m[2] or ""
                # A term that fills its column has one space before what is said of it.
                if not said and len(line) > 30 and line[29:30] == " " and line[28:29] != " ":
                    term, said = line[2:29], line[30:]
                title.append([term, said])
            elif title and line.strip():
                title[-1][1] = (title[-1][1] + " " + line.strip()).strip()
        self.children = [Command(program, [*words, term.split()[0]]) for term, _ in self.sections.get("Subcommands", [])]

    def options(self):
        """[(["--data"], takes a value, choices, what is said)]"""
        for term, said in self.sections.get("Options", []):
            names, _, kind = term.partition(" ")
            choices = re.search(r"\{([^}]*)\}", kind)
            yield names.split(","), bool(kind), choices[1].split(",") if choices else [], said

    def all(self):
        yield self
        for child in self.children:
            yield from child.all()


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def page(command, version, date, see_also):
    name = "-".join(["verge", *command.words])
    lines = [f'.TH "{name.upper()}" 1 "{date}" "Verge {version}" "Verge"', ".SH NAME", roff(f"{name} - {command.about.rstrip('.')}"),
             ".SH SYNOPSIS", ".B " + roff(command.usage or "verge COMMAND [OPTIONS]")]
    for title, entries in command.sections.items():
        lines.append(f'.SH "{title.upper()}"')
        for term, said in entries:
            lines += [".TP", ".B " + roff(term), roff(said) or "\\&"]
    for child in command.children:
        for one in child.all():
            lines += [f'.SH "{" ".join(one.words).upper()}"', roff(one.about), ".PP", ".B " + roff(one.usage)]
            for title in ("Positionals", "Options"):
                for term, said in one.sections.get(title, []):
                    lines += [".TP", ".B " + roff(term), roff(said) or "\\&"]
    lines += [".SH SEE ALSO", ",\n".join(f".BR {roff(n)} (1)" for n in see_also if n != name).replace(",\n", " ,\n"),
              ".PP", "/usr/share/doc/verge/docs"]
    return "\n".join(lines) + "\n"


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def bash(commands):
    cases = []
    for command in commands:
        for one in command.all():
            words = [c.words[-1] for c in one.children] + [n for names, *_ in one.options() for n in names]
            cases.append(f"    {quoted(' '.join(one.words))}) words={quoted(' '.join(words))} ;;")
    values = sorted({(n, tuple(c)) for command in commands for one in command.all() for names, _, c, _ in one.options() if c for n in names})
    choices = "\n".join(f"    {n}) COMPREPLY=($(compgen -W {quoted(' '.join(c))} -- \"$now\")); return ;;" for n, c in values)
    parents = "|".join(c.words[0] for c in commands if c.children) or "-"
    return f"""# Completion of verge for bash, made from `verge COMMAND --help`.
_verge() {{
  local now=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]:-}} words=
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W {quoted(' '.join(c.words[0] for c in commands) + ' --help --version')} -- "$now")); return
  fi
  case $before in
{choices}
  esac
  case $command in
    {parents}) if [ "$COMP_CWORD" -gt 2 ]; then command="$command ${{COMP_WORDS[2]}}"; fi ;;
  esac
  case $command in
{chr(10).join(cases)}
  esac
  case $now in
    -*) COMPREPLY=($(compgen -W "$words" -- "$now")) ;;
    *) COMPREPLY=($(compgen -W "$(printf '%s\\n' $words | grep -v '^-')" -- "$now") $(compgen -f -- "$now")) ;;
  esac
}}
complete -o filenames -F _verge verge
"""


def zsh_spec(names, takes, choices, said):
    said = re.sub(r"([\[\]:\\])", r"\\\1", said).replace("'", "'\\''")
    value = f":value:({' '.join(choices)})" if choices else ":value:_files" if takes else ""
    return [f"'*{name}[{said}]{value}'" for name in names]


def zsh(commands):
    lines = ["#compdef verge", "# Completion of verge for zsh, made from `verge COMMAND --help`.", "_verge() {", "  local -a commands", "  commands=("]
    lines += [f"    {quoted(c.words[0] + ':' + c.about.replace(':', chr(92) + ':'))}" for c in commands]
    lines += ["  )", "  if (( CURRENT == 2 )); then _describe command commands; return; fi", "  local command=$words[2]", "  case $command in"]
    for command in commands:
        if command.children:
            names = [quoted(c.words[-1] + ":" + c.about.replace(":", "\\:")) for c in command.children]
            lines += [f"    {command.words[0]})", f"      if (( CURRENT == 3 )); then local -a below; below=({' '.join(names)}); _describe command below; return; fi",
                      '      command="$command $words[3]" ;;']
    lines += ["  esac", "  shift words; (( CURRENT-- ))", "  case $command in"]
    for command in commands:
        for one in command.all():
            specs = [s for option in one.options() for s in zsh_spec(*option)]
            lines.append(f"    {quoted(' '.join(one.words))}) _arguments -S {' '.join(specs)} '*:file:_files' ;;")
    lines += ["  esac", "}", '_verge "$@"']
    return "\n".join(lines) + "\n"


def fish(commands):
    lines = ["# Completion of verge for fish, made from `verge COMMAND --help`.", "complete -c verge -e"]
    for command in commands:
        name = command.words[0]
        lines.append(f"complete -c verge -f -n __fish_use_subcommand -a {name} -d {quoted(command.about)}")
        for child in command.children:
            lines.append(f"complete -c verge -f -n '__fish_seen_subcommand_from {name}' -a {child.words[-1]} -d {quoted(child.about)}")
        for one in command.all():
            condition = f"'__fish_seen_subcommand_from {one.words[0]}" + (f"; and __fish_seen_subcommand_from {one.words[1]}'" if len(one.words) > 1 else "'")
            for names, takes, choices, said in one.options():
                flags = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in names)
                value = f" -x -a {quoted(' '.join(choices))}" if choices else " -r" if takes else ""
                lines.append(f"complete -c verge -n {condition} {flags}{value} -d {quoted(said)}")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--share", type=Path, required=True)
    options = parser.parse_args()
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"])))
    top = Command(options.program, [])
    listed = top.sections["Commands"]
    commands = [Command(options.program, [term.split()[0]]) for term, _ in listed]
    top.about = "the open, self-hosted Workers AI"
    names = ["verge", *(f"verge-{c.words[0]}" for c in commands)]
    man = options.share / "man" / "man1"
    man.mkdir(parents=True)
    (man / "verge.1").write_text(page(top, options.version, date, names))
    for command in commands:
        (man / f"verge-{command.words[0]}.1").write_text(page(command, options.version, date, ["verge"]))
    for folder, file, text in (("bash-completion/completions", "verge", bash(commands)),
                               ("zsh/vendor-completions", "_verge", zsh(commands)),
                               ("fish/vendor_completions.d", "verge.fish", fish(commands))):
        (options.share / folder).mkdir(parents=True)
        (options.share / folder / file).write_text(text)


main()
