import type { RunSummary, ServerEvent, SystemUse } from './api.ts';
import { listRuns } from './run-listing.ts';
import { RunView } from './run-view.ts';
import { systemMeter } from './system-use.ts';

/** Milliseconds between two looks at the folders while somebody watches. */
const lookEvery = 1000;
const systemEvery = 2000;
/** Measurements of the machine that are kept: four minutes. */
const keptSystem = 120;
/** A look that is younger than this is good enough for a request. */
const freshFor = 500;

type Listener = (event: ServerEvent) => void;

/**
 * The runs below a folder, looked at while somebody watches and when somebody asks. Nothing is ever written, and no run
 * notices.
 */
export class RunWatcher {
  private views = new Map<string, RunView>();
  private readonly listeners = new Set<Listener>();
  private readonly measuring: NodeJS.Timeout;
  private lookTimer: NodeJS.Timeout | undefined;
  private system: SystemUse[] = [];
  private looking: Promise<void> | undefined;
  private lookedAt = -Infinity;
  private completing: Promise<void> = Promise.resolve();
  private readonly queued = new Set<RunView>();
  private waiting = 0;

  /**
   * @param root        the folder
   * @param commandFor  the command that draws samples from a checkpoint file
   */
  constructor(
    private readonly root: string,
    private readonly commandFor: (file: string) => string,
  ) {
    const measure = systemMeter();
    this.measuring = setInterval(() => {
      const system = measure();
      this.system = [...this.system, system].slice(-keptSystem);
      this.tell({ kind: 'system', system: [system] });
    }, systemEvery);
    this.measuring.unref();
  }

  /** All runs, the last first. */
  async runs(): Promise<RunSummary[]> {
    await this.freshen();
    return this.summaries();
  }

  /** The run of an id, or nothing. */
  async run(id: string): Promise<RunView | undefined> {
    await this.freshen();
    return this.views.get(id);
  }

  /** Reads all statistics of a run, one run at a time; who watches is told when it is done. */
  completeLater(view: RunView): void {
    if (!view.isIncomplete || this.queued.has(view)) return;
    this.queued.add(view);
    this.completing = this.completing
      .then(() => view.complete(() => this.letOthersGo()))
      .catch(() => {}) // a file that went away is seen at the next look
      .then(() => {
        this.queued.delete(view);
        this.lookedAt = -Infinity;
        if (this.listeners.size > 0) void this.lookAndTell();
      });
  }

  /** Does what somebody waits for, while reading in the background stands still. */
  async first<T>(work: () => Promise<T>): Promise<T> {
    this.waiting++;
    try {
      return await work();
    } finally {
      this.waiting--;
    }
  }

  /** A pause of the background: a moment, or until nobody waits, but not for ever. */
  private async letOthersGo(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 100 && this.waiting > 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** Tells a listener of every change until the function that it gets is called. */
  watch(listener: Listener): () => void {
    if (this.system.length > 0) listener({ kind: 'system', system: this.system });
    this.listeners.add(listener);
    this.lookTimer ??= setInterval(() => void this.lookAndTell(), lookEvery).unref();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.rest();
    };
  }

  get watchers(): number {
    return this.listeners.size;
  }

  /** Ends all watching. */
  stop(): void {
    clearInterval(this.measuring);
    this.rest();
  }

  private rest(): void {
    clearInterval(this.lookTimer);
    this.lookTimer = undefined;
  }

  private tell(event: ServerEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  private async lookAndTell(): Promise<void> {
    const told = (): string => JSON.stringify(this.summaries().map(({ id, state, version }) => [id, state, version]));
    const before = told();
    try {
      await this.look();
    } catch {
      return; // the folder can't be looked at now; whoever asks for something is told
    }
    if (told() !== before) this.tell({ kind: 'runs', runs: this.summaries() });
  }

  private summaries(): RunSummary[] {
    return [...this.views.values()].map((view) => view.summary);
  }

  private freshen(): Promise<void> {
    return performance.now() - this.lookedAt < freshFor ? Promise.resolve() : this.look();
  }

  private look(): Promise<void> {
    this.looking ??= this.first(() => this.lookNow()).finally(() => (this.looking = undefined));
    return this.looking;
  }

  private async lookNow(): Promise<void> {
    const views = new Map<string, RunView>();
    for (const listed of await listRuns(this.root)) {
      const known = this.views.get(listed.id);
      const view = known?.path === listed.path ? known : new RunView(listed, this.commandFor);
      await view.look(listed, Date.now() / 1000);
      views.set(listed.id, view);
    }
    this.views = views;
    this.lookedAt = performance.now();
  }
}
