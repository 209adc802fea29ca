import { relative } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import { deviceChoices } from '../node/devices.ts';
import { choice, integer } from './values.ts';
import type { ValueKind } from './values.ts';

/** An option whose text is checked as it is read. `fallback` tells in the help what holds without it. */
export function valueOption<T>(flags: string, kind: ValueKind<T>, help: string, fallback?: string): Option {
  const range = kind.range === undefined ? '' : ` [${kind.range}]`;
  const long = /--[\w-]+/.exec(flags)![0];
  return new Option(`${flags} <${kind.name}>`, help + range)
    .argParser((text) => kind.parse(text, long))
    .default(undefined, fallback);
}

/** An option whose text is taken as it is. */
export const textOption = (flags: string, valueName: string, help: string, preset?: string): Option =>
  new Option(`${flags} <${valueName}>`, help).default(preset);

/** The option that every command has that computes. */
export const threadsOption = (): Option =>
  valueOption('--threads', integer('INT', { min: 1 }), 'Threads to compute with', 'all cores');

/** Where it computes. */
export const deviceOption = (): Option =>
  valueOption('--device', choice('NAME', deviceChoices), `Where to compute: ${deviceChoices.join(', ')}`, 'cpu');

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
export function shellPath(path: string, platform: NodeJS.Platform = process.platform): string {
  const near = relative(process.cwd(), path);
  const shown = near === '' || near.startsWith('..') ? path : near;
  // No file name of Windows has a double quote in it.
  if (platform === 'win32') return /^[\w.\\/:@+-]+$/.test(shown) ? shown : `"${shown}"`;
  return /^[\w./:@+-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", String.raw`'\''`)}'`;
}
