import { useEffect, useState } from 'preact/hooks';

const query = '(prefers-reduced-motion: reduce)';

/** Whether the visitor has asked for less motion. */
export function useLessMotion(): boolean {
  const [isLess, setIsLess] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const change = (): void => setIsLess(media.matches);
    media.addEventListener('change', change);
    return () => media.removeEventListener('change', change);
  }, []);
  return isLess;
}

/** Counts up while active, once every so many milliseconds. */
export function useCounter(isActive: boolean, every: number): [count: number, more: () => void] {
  const [count, setCount] = useState(0);
  useEffect(() => {
    if (!isActive) return;
    const timer = setInterval(() => setCount((before) => before + 1), every);
    return () => clearInterval(timer);
  }, [isActive, every]);
  return [count, () => setCount((before) => before + 1)];
}

/** Milliseconds of the way from noise to data, and of the rest at its end. */
const [way, rest] = [4500, 1800];

/**
 * Time that runs from 0 to 1, rests there, and starts again, as long as it is active.
 *
 * @param onEnd  told when it starts again
 */
export function useFlowTime(isActive: boolean, onEnd: () => void): number {
  const [time, setTime] = useState(0);
  useEffect(() => {
    if (!isActive) return;
    let start: number | undefined;
    let frame = requestAnimationFrame(function next(now) {
      start ??= now;
      if (now - start > way + rest) {
        start = now;
        onEnd();
      }
      setTime(Math.min(1, (now - start) / way));
      frame = requestAnimationFrame(next);
    });
    return () => cancelAnimationFrame(frame);
  }, [isActive]);
  return time;
}

/** Milliseconds in which noise comes and goes: less than five seconds, after which motion would need a way to stop it. */
const swayTime = 4500;

/**
 * Once from one noise level to another and back; undefined while it does not run.
 *
 * @param onEnd  told when it is back
 */
export function useSway(isActive: boolean, from: number, to: number, onEnd: () => void): number | undefined {
  const [sigma, setSigma] = useState<number>();
  useEffect(() => {
    if (!isActive) return;
    let start: number | undefined;
    let frame = requestAnimationFrame(function next(now) {
      start ??= now;
      const share = Math.sin((Math.PI * (now - start)) / swayTime) ** 2;
      if (now - start >= swayTime) return onEnd();
      setSigma(from * (to / from) ** share);
      frame = requestAnimationFrame(next);
    });
    return () => {
      cancelAnimationFrame(frame);
      setSigma(undefined);
    };
  }, [isActive, from, to]);
  return isActive ? sigma : undefined;
}
