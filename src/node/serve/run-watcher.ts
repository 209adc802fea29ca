import type { RunSummary, ServerEvent, SystemUse } from './api.ts';
import { inTurn } from './in-turn.ts';
import { RunListing } from './run-listing.ts';
import { runNews } from './run-news.ts';
import { RunView } from './run-view.ts';
import { systemMeter } from './system-use.ts';

/** Milliseconds from one look at the folders to the next while somebody watches. */
const lookPause = 1000;
const systemEvery = 2000;
/** Measurements of the machine that are kept: four minutes. */
const keptSystem = 120;
/** A look that is younger than this is good enough for a request. */
const freshFor = 500;
/** Runs that are looked at at a time. */
const looksAtOnce = 8;
/** Bytes that open runs may take: enough for two pages with 64 runs each. Of more, those are closed that nobody asked for lately. */
const mostOpenBytes = 128 * 2 ** 20;

type Listener = (event: ServerEvent) => void;

/**
 * The runs below a folder, looked at while somebody watches and when somebody asks. Nothing is ever written, and no run
 * notices.
 */
export class RunWatcher {
  private views = new Map<string, RunView>();
  private readonly listeners = new Set<Listener>();
  private readonly measuring: NodeJS.Timeout;
  private readonly listing: RunListing;
  private readonly news = runNews();
  private isLooking = false;
  private system: SystemUse[] = [];
  private looking: Promise<void> | undefined;
  private lookedAt = -Infinity;
  private completing: Promise<void> = Promise.resolve();
  private readonly queued = new Set<RunView>();
  /** By the time somebody asked for them, the last one last. */
  private readonly opened = new Set<RunView>();
  private waiting = 0;

  /**
   * @param root        the folder of runs, or one run
   * @param commandFor  the command that draws samples from a checkpoint file
   * @param openBytes   memory that open runs may take, about
   */
  constructor(
    root: string,
    private readonly commandFor: (file: string) => string,
    private readonly openBytes = mostOpenBytes,
  ) {
    this.listing = new RunListing(root);
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

  /** The run of an id with all that a page of it shows, or nothing. */
  async run(id: string): Promise<RunView | undefined> {
    let view = this.views.get(id);
    if (view && performance.now() - view.lookedAt >= freshFor) {
      const listed = await this.listing.lookAt(view.place);
      if (listed) await view.look(listed, Date.now() / 1000);
      else {
        // However fresh the last look is, it was before this.
        await this.look();
        view = this.views.get(id);
      }
    } else if (!view) {
      await this.freshen();
      view = this.views.get(id);
    }
    if (!view) return undefined;
    this.opened.delete(view);
    this.opened.add(view);
    await view.open(Date.now() / 1000);
    this.closeSome();
    return view;
  }

  /** Reads all statistics of a run, one run at a time; who watches is told when it is done. */
  completeLater(view: RunView): void {
    if (!view.isIncomplete || this.queued.has(view)) return;
    this.queued.add(view);
    this.completing = this.completing
      // One that was closed while it waited would take memory that nobody counts.
      .then(() => (this.opened.has(view) ? view.complete(() => this.letOthersGo()) : undefined))
      .catch(() => {}) // a file that went away is seen at the next look
      .then(() => {
        this.queued.delete(view);
        this.closeSome();
        this.tellNews();
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

  /** Tells a listener of all runs at every change until the function that it gets is called. */
  watch(listener: Listener): () => void {
    if (this.system.length > 0) listener({ kind: 'system', system: this.system });
    this.listeners.add(listener);
    if (!this.isLooking) void this.keepLooking();
    return () => void this.listeners.delete(listener);
  }

  get watchers(): number {
    return this.listeners.size;
  }

  /** Ends all watching. */
  stop(): void {
    clearInterval(this.measuring);
    this.listeners.clear();
  }

  /** Looks while somebody watches: one look after the other, however long each takes. */
  private async keepLooking(): Promise<void> {
    this.isLooking = true;
    while (this.listeners.size > 0) {
      await new Promise((resolve) => setTimeout(resolve, lookPause).unref());
      // The folder may not be there to be looked at now; whoever asks for something is told.
      await this.look().then(
        () => this.tellNews(),
        () => {},
      );
    }
    this.isLooking = false;
  }

  private tell(event: ServerEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  private tellNews(): void {
    const runs = this.summaries();
    if (this.news(runs)) this.tell({ kind: 'runs', runs });
  }

  /** Closes runs that nobody has asked for lately until the others fit. */
  private closeSome(): void {
    let bytes = [...this.opened].reduce((sum, view) => sum + view.openBytes, 0);
    for (const view of this.opened) {
      if (bytes <= this.openBytes || this.opened.size === 1) return;
      bytes -= view.openBytes;
      view.close();
      this.opened.delete(view);
    }
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
    const all = await this.listing.look((id) => this.views.get(id)?.isResting ?? false);
    const views = await inTurn(all, looksAtOnce, async (listed) => {
      const known = this.views.get(listed.id);
      const view = known?.path === listed.path ? known : new RunView(listed, this.commandFor);
      await view.look(listed, Date.now() / 1000);
      return view;
    });
    this.views = new Map(views.map((view) => [view.summary.id, view]));
    for (const view of this.opened) if (this.views.get(view.summary.id) !== view) this.opened.delete(view);
    this.lookedAt = performance.now();
  }
}
