import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { ThemeSwitch } from '../../shared/components.tsx';
import { addressOf, useRoute } from './route.ts';
import { RunList } from './run-list.tsx';
import { RunPage } from './run-page.tsx';
import { useLive } from './server.ts';

/** The whole page. */
export function App(): JSX.Element {
  const route = useRoute();
  const live = useLive();
  const where = route.runs.join(' and ');
  useEffect(() => {
    document.title = `${where === '' ? 'Runs' : where} · stable target field`;
    scrollTo(0, 0);
  }, [where]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => focusMain(event)}>
        Skip to the content
      </a>
      <header class="top">
        <a href={addressOf([])} class="brand">
          <Mark />
          stable target field
        </a>
        <a href="playground/" class="small">
          Playground
        </a>
        <span class={`connection ${live.isConnected ? 'on' : 'off'}`} role="status">
          {live.isConnected ? 'live' : 'no answer from the server: is stf serve still running?'}
        </span>
        <ThemeSwitch />
      </header>
      <main id="main" tabIndex={-1}>
        {route.runs.length === 0 ? <RunList live={live} /> : <RunPage key={where} route={route} live={live} />}
      </main>
    </>
  );
}

/** Targets that vary, and the stable one between them. */
function Mark(): JSX.Element {
  return (
    <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" class="mark">
      <path d="M2 18c4 0 5-12 10-12s6 12 10 12" class="mark-dsm" />
      <path d="M2 18c5 0 6-9 10-9s5 9 10 9" class="mark-stf" />
    </svg>
  );
}

function focusMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}
