import { relative } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { ValueKind } from './values.ts';

/** An option whose text is checked as it is read. */
export function valueOption<T>(flags: string, kind: ValueKind<T>, help: string): Option {
  const range = kind.range === undefined ? '' : ` [${kind.range}]`;
  const long = /--[a-z-]+/.exec(flags)![0];
  return new Option(`${flags} <${kind.name}>`, help + range).argParser((text) => kind.parse(text, long));
}

/** An option whose text is taken as it is. */
export function textOption(flags: string, valueName: string, help: string, preset?: string): Option {
  const option = new Option(`${flags} <${valueName}>`, help);
  return preset === undefined ? option : option.default(preset);
}

/** Makes a command and those below it show help in our way: `--batch INT  Images a step [>= 1] [default: 32]`. */
export function formatHelp(command: Command): void {
  command.configureHelp({
    optionTerm: ({ flags }) => flags.replace(/[<>]/g, ''),
    optionDescription: ({ description, defaultValue, defaultValueDescription }) => {
      const preset = defaultValueDescription ?? (defaultValue === undefined ? undefined : String(defaultValue));
      return preset === undefined ? description : `${description} [default: ${preset}]`;
    },
  });
  for (const sub of command.commands) formatHelp(sub);
}

/** A command for the user to type, the way this one was started. */
export const suggested = (command: string): string =>
  process.env.npm_command === undefined ? `stf ${command}` : `npx stf ${command}`;

/** A path as one would type it: short where it is below the current folder, quoted where it has to be. */
export function shellPath(path: string): string {
  const near = relative(process.cwd(), path);
  const shown = near === '' || near.startsWith('..') ? path : near;
  return /^[\w./:@+-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", String.raw`'\''`)}'`;
}
