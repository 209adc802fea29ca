import type { TrainingOptions } from '../../training/index.ts';
import { integer } from '../values.ts';
import type { ValueKind } from '../values.ts';

/** An option of `stf train` that changes one of the training options. */
export interface TrainFlag {
  /** Without dashes. */
  readonly name: string;
  readonly group: string;
  /** Shown behind the option; empty for a switch with `--NAME` and `--no-NAME`. */
  readonly valueName: string;
  readonly help: string;
  /** Help of `--no-NAME`; empty where there is none. */
  readonly offHelp: string;
  /** What is allowed. */
  readonly range: string | undefined;
  /** True when a run that is resumed may change it. */
  readonly onResume: boolean;
  /** The present value as one would type it; undefined where it does not apply. */
  show(options: TrainingOptions): string | undefined;
  /** Options in which the value is what `text` says. Throws UsageError. */
  set(options: TrainingOptions, text: string): TrainingOptions;
}

interface FlagOf<T> {
  readonly kind: ValueKind<T>;
  readonly help: string;
  /** Of a switch: help of `--no-NAME`. */
  readonly offHelp?: string;
  /** What is allowed, where the kind alone does not say it. */
  readonly range?: string;
  readonly onResume?: boolean;
  readonly get: (options: TrainingOptions) => T | undefined;
  readonly set: (options: TrainingOptions, value: T) => TrainingOptions;
  /** How a value is typed; null is shown as the word after `|` in the kind's name. */
  readonly show?: (value: T) => string;
}

/** Makes an option from what is typed about it. */
export function flag<T>(group: string, name: string, spec: FlagOf<T>): TrainFlag {
  const { kind, help, offHelp = '', range = kind.range, onResume = false, get, set, show } = spec;
  const text = (value: T): string => (value === null ? kind.name.split('|').at(-1)! : (show?.(value) ?? String(value)));
  return {
    name,
    group,
    valueName: kind.name,
    help,
    offHelp,
    range,
    onResume,
    show: (options) => {
      const value = get(options);
      return value === undefined ? undefined : text(value);
    },
    set: (options, typed) => set(options, kind.parse(typed, `--${name}`)),
  };
}

/** A switch: commander gives it as the text `true` or `false`. */
export const toggle: ValueKind<boolean> = { name: '', parse: (text) => text === 'true' };

export const yesOrNo = (value: boolean): string => (value ? 'yes' : 'no');

/** Numbers of things. */
export const count = integer('INT', { min: 1 });
