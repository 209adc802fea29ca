import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useState } from 'preact/hooks';

/** One of a few choices, side by side. */
export function Segments<T extends string>({
  label,
  options,
  value,
  onChange,
}: {
  label: string;
  options: readonly (readonly [value: T, text: string])[];
  value: T;
  onChange: (value: T) => void;
}): JSX.Element {
  return (
    <div class="segments" role="group" aria-label={label}>
      {options.map(([each, text]) => (
        <button type="button" key={each} aria-pressed={each === value} onClick={() => onChange(each)}>
          {text}
        </button>
      ))}
    </div>
  );
}

/** A slider with its name and what its value means. */
export function Slider({
  label,
  value,
  min = 0,
  max,
  step = 1,
  text,
  onChange,
  disabled = false,
}: {
  label: string;
  value: number;
  min?: number;
  max: number;
  step?: number;
  /** The value in words or with its unit. */
  text: string;
  onChange: (value: number) => void;
  disabled?: boolean;
}): JSX.Element {
  const id = useId();
  return (
    <div class="slider">
      <label for={id} class="muted">
        {label}
      </label>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        disabled={disabled}
        aria-valuetext={text}
        onInput={(event) => onChange(Number(event.currentTarget.value))}
      />
      <output for={id}>{text}</output>
    </div>
  );
}

/** What is shown where nothing is yet: what is missing, and what to do next. */
export function Empty({
  title,
  isPage = false,
  children,
}: {
  title: string;
  /** Whether this is all that the page has. */
  isPage?: boolean;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <section class="empty">
      {isPage ? <h1>{title}</h1> : <h2>{title}</h2>}
      {children}
    </section>
  );
}

/** A command to copy. */
export function Command({ text, label = 'Copy the command' }: { text: string; label?: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <div class="command">
      <code>{text}</code>
      <button type="button" class="quiet" aria-label={label} onClick={() => void copyText(text).then(setCopied)}>
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}

/** Puts text on the clipboard; false where the browser does not let us, as on an address without TLS. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    const isDone = document.execCommand('copy');
    area.remove();
    return isDone;
  }
}

export type Theme = 'auto' | 'light' | 'dark';
const themeKey = 'stf-theme';

/** Light, dark, or as the system has it; remembered. */
export function ThemeSwitch({ onChange }: { onChange?: () => void }): JSX.Element {
  const [theme, setTheme] = useState<Theme>(() => (localStorage.getItem(themeKey) as Theme | null) ?? 'auto');
  useEffect(() => {
    applyTheme(theme);
    onChange?.();
  }, [theme]);
  const next: Record<Theme, Theme> = { auto: 'light', light: 'dark', dark: 'auto' };
  const names: Record<Theme, string> = { auto: 'Auto', light: 'Light', dark: 'Dark' };
  return (
    <button
      type="button"
      class="quiet"
      aria-label={`Colours: ${names[theme]}. Change to ${names[next[theme]]}`}
      onClick={() => setTheme(next[theme])}
    >
      <span class="theme-dot" aria-hidden="true" />
      {names[theme]}
    </button>
  );
}

/** Sets the colours of the page, and keeps the choice. */
export function applyTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  localStorage.setItem(themeKey, theme);
  document.dispatchEvent(new Event('stf-theme'));
}

/** Calls back when colours change, by the switch or by the system. */
export function onThemeChange(callback: () => void): () => void {
  const media = matchMedia('(prefers-color-scheme: dark)');
  document.addEventListener('stf-theme', callback);
  media.addEventListener('change', callback);
  return () => {
    document.removeEventListener('stf-theme', callback);
    media.removeEventListener('change', callback);
  };
}

/** The value of a colour of theme.css, such as `stf`. */
export const themeColor = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
