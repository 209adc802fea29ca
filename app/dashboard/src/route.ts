import { useEffect, useState } from 'preact/hooks';

/** Views of one or several runs. */
export const views = [
  ['curves', 'Curves'],
  ['samples', 'Samples'],
  ['phases', 'Phases'],
  ['options', 'Options'],
  ['checkpoints', 'Checkpoints'],
  ['draw', 'Draw'],
  ['machine', 'Machine'],
] as const;
export type View = (typeof views)[number][0];

/** Where in the page one is: the list of runs, or a view of some. */
export type Route = { readonly runs: readonly string[]; readonly view: View };

/** The part of the address behind `#`. */
export const addressOf = (runs: readonly string[], view: View = 'curves'): string =>
  runs.length === 0 ? '#/' : `#/${runs.map(encodeURIComponent).join('+')}/${view}`;

function routeOf(hash: string): Route {
  const [, runs = '', view] = hash.split('/');
  const found = views.find(([name]) => name === view);
  return {
    runs: runs === '' ? [] : runs.split('+').map(decoded),
    view: found ? found[0] : 'curves',
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The route, as it changes. */
export function useRoute(): Route {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  useEffect(() => {
    const update = (): void => setRoute(routeOf(location.hash));
    addEventListener('hashchange', update);
    return () => removeEventListener('hashchange', update);
  }, []);
  return route;
}
