/** Somewhere to write text: a terminal, a pipe or a test. */
export interface TextStream {
  write(text: string): unknown;
  /** True for a terminal. */
  readonly isTTY?: boolean | undefined;
  /** Width of the terminal in characters. */
  readonly columns?: number | undefined;
}

export interface ProgressOptions {
  /** What is counted, behind the numbers: `kimg`, `samples`. */
  readonly unit: string;
  /** Where counting ends, in that unit. */
  readonly total: number;
  /** Where it begins, for work that is taken up again. Default 0. */
  readonly start?: number;
  /** The rate, in its own unit: `img/s`, and how many of these one unit has. */
  readonly rate: { readonly unit: string; readonly perUnit: number };
  /** Digits behind the decimal point of the counts. Default 0. */
  readonly digits?: number;
  /** Seconds of a steady clock. */
  readonly now?: () => number;
}

/** Shows how far some work is. */
export interface ProgressBar {
  /** Work done so far, in units. Call it as often as you like: it draws at most ten times a second. */
  update(done: number): void;
  /** Says what goes on while the count stands still, such as `drawing samples 12/64`. */
  activity(text: string): void;
  /** Writes whole lines between, without tearing the bar. */
  interleave(write: () => void): void;
  /** Takes the bar off the screen. */
  end(): void;
}

const secondsBetweenDraws = 0.1;
/** A log file or a pipe gets a line of its own now and then, and only while nothing else is written. */
const secondsBetweenLines = 10;
/** The rate is that of the last so many seconds. */
const rateWindow = 30;
const barWidth = 24;

/**
 * A progress bar with rate and time left. On a terminal it is one line that is drawn over itself; elsewhere a plain line
 * about every ten seconds.
 */
export function progressBar(stream: TextStream, options: ProgressOptions): ProgressBar {
  const { now = () => performance.now() / 1000, start = 0 } = options;
  let done = start;
  // From the first update on: what came before it, such as compilation, is not work of this kind.
  let history: { time: number; done: number }[] = [];
  let drawn = false;
  let lastOutput = now();

  const clear = (): void => {
    if (drawn) stream.write('\r\x1b[2K');
    drawn = false;
  };
  const draw = (activity = ''): void => {
    lastOutput = now();
    const text = `${progressText(done, rateOf(history), options)}${activity && `  ${activity}`}`;
    if (!stream.isTTY) return void stream.write(`${text}\n`);
    clear();
    stream.write(text.slice(0, Math.max((stream.columns || 80) - 1, 1)));
    drawn = true;
  };
  const isDue = (time: number): boolean =>
    time - lastOutput >= (stream.isTTY ? secondsBetweenDraws : secondsBetweenLines);
  return {
    update: (value) => {
      const time = now();
      done = value;
      history.push({ time, done });
      const first = history.findIndex((entry) => entry.time >= time - rateWindow);
      if (first > 1) history = history.slice(first - 1);
      if (isDue(time)) draw();
    },
    activity: (text) => {
      // Time in which nothing is counted must not slow the rate down.
      history = [];
      if (isDue(now())) draw(text);
    },
    interleave: (write) => {
      const wasDrawn = drawn;
      clear();
      write();
      if (wasDrawn) draw();
      lastOutput = now();
    },
    end: clear,
  };
}

/** Units a second between the first and the last entry; 0 while that is not known. */
function rateOf(history: readonly { time: number; done: number }[]): number {
  const [first] = history;
  const last = history[history.length - 1];
  return first && last && last.time > first.time ? (last.done - first.done) / (last.time - first.time) : 0;
}

function progressText(done: number, rate: number, options: ProgressOptions): string {
  const { total, unit, digits = 0 } = options;
  const share = Math.min(Math.max(done / total, 0), 1);
  const filled = Math.round(share * barWidth);
  const bar = `[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}]`;
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const counts = `${done.toFixed(digits)}/${total.toFixed(digits)} ${unit}`;
  const parts = [`${bar} ${percent}`, counts];
  if (rate > 0) {
    const shown = rate * options.rate.perUnit;
    parts.push(
      `${shown >= 100 ? shown.toFixed(0) : shown.toPrecision(3)} ${options.rate.unit}`,
      `${formatDuration((total - done) / rate)} left`,
    );
  }
  return parts.join('  ');
}

/** Seconds as people read them: `12s`, `3m 05s`, `2h 05m 10s`, `1d 02h 05m`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(Math.round(seconds), 0);
  const two = (value: number): string => String(value).padStart(2, '0');
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days > 0) return `${days}d ${two(hours)}h ${two(minutes)}m`;
  if (hours > 0) return `${hours}h ${two(minutes)}m ${two(whole % 60)}s`;
  if (minutes > 0) return `${minutes}m ${two(whole % 60)}s`;
  return `${whole}s`;
}
