import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { mostPictures, ownSide, plainOf, readPictures, rgbaOf } from './own-pictures.ts';

/** Files in what was dropped or pasted. */
const filesIn = (data: DataTransfer | null): File[] => [...(data?.files ?? [])];

/** Takes pictures that are dropped or pasted anywhere on the page. */
export function useDroppedFiles(onFiles: (files: File[]) => void): void {
  const latest = useRef(onFiles);
  latest.current = onFiles;
  useEffect(() => {
    const take = (event: DragEvent | ClipboardEvent, data: DataTransfer | null): void => {
      const files = filesIn(data);
      if (files.length === 0) return;
      event.preventDefault();
      latest.current(files);
    };
    // Without it a browser leaves the page for the file that was dropped.
    const over = (event: DragEvent): void => event.preventDefault();
    const drop = (event: DragEvent): void => take(event, event.dataTransfer);
    const paste = (event: ClipboardEvent): void => take(event, event.clipboardData);
    document.addEventListener('dragover', over);
    document.addEventListener('drop', drop);
    document.addEventListener('paste', paste);
    return () => {
      document.removeEventListener('dragover', over);
      document.removeEventListener('drop', drop);
      document.removeEventListener('paste', paste);
    };
  }, []);
}

/** The visitor's pictures, and what went wrong with the last files. */
export function useOwnPictures(): {
  pictures: readonly Uint8Array[];
  faults: readonly string[];
  /** Takes files; gives all pictures when some were added. */
  add: (files: readonly File[]) => Promise<readonly Uint8Array[] | undefined>;
  clear: () => void;
} {
  const [pictures, setPictures] = useState<readonly Uint8Array[]>([]);
  const [faults, setFaults] = useState<readonly string[]>([]);
  const kept = useRef(pictures);
  // One after the other, so that files of two drops do not take each other's room.
  const queue = useRef(Promise.resolve<unknown>(undefined));
  const keep = (next: readonly Uint8Array[]): void => {
    kept.current = next;
    setPictures(next);
  };
  const add = async (files: readonly File[]): Promise<readonly Uint8Array[] | undefined> => {
    const read = await readPictures(files, mostPictures - kept.current.length);
    setFaults(read.faults);
    if (read.pictures.length === 0) return undefined;
    keep([...kept.current, ...read.pictures]);
    return kept.current;
  };
  return {
    pictures,
    faults,
    add: (files) => {
      const added = queue.current.then(() => add(files));
      queue.current = added.catch(() => {}); // the next files have their turn whatever went wrong with these
      return added;
    },
    clear: () => {
      keep([]);
      setFaults([]);
    },
  };
}

/** Where pictures are chosen, and those that were. */
export function PictureInput({
  pictures,
  faults,
  onFiles,
  onClear,
}: {
  pictures: readonly Uint8Array[];
  faults: readonly string[];
  onFiles: (files: File[]) => void;
  onClear: () => void;
}): JSX.Element {
  return (
    <div class="own">
      {pictures.length > 0 && <Strip pictures={pictures} />}
      <div class="control-row">
        <label class="button file">
          {pictures.length === 0 ? 'Choose pictures' : 'Add pictures'}
          <input
            type="file"
            class="hidden-visually"
            multiple
            accept="image/*"
            onChange={(event) => {
              onFiles([...(event.currentTarget.files ?? [])]);
              // The same files can be chosen again.
              event.currentTarget.value = '';
            }}
          />
        </label>
        {pictures.length > 0 && (
          <button type="button" class="quiet" onClick={onClear}>
            Remove all
          </button>
        )}
      </div>
      <p class="muted small">
        Or drop or paste them on the page: up to {mostPictures}. They become grey and {ownSide} × {ownSide} pixels
        small. Five cuts of each and their mirror images are what is learned from. They never leave this page.
      </p>
      <div role="alert">
        {faults.length > 0 && (
          <ul class="note warn faults">
            {faults.map((fault, i) => (
              <li key={i}>{fault}</li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}

/** All of the pictures, small. */
function Strip({ pictures }: { pictures: readonly Uint8Array[] }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const perRow = 8;
  useEffect(() => {
    const element = canvas.current!;
    element.width = perRow * ownSide;
    element.height = Math.ceil(pictures.length / perRow) * ownSide;
    const context = element.getContext('2d')!;
    pictures.forEach((each, i) => {
      const image = rgbaOf(plainOf(each), [1, ownSide, ownSide]);
      context.putImageData(image, (i % perRow) * ownSide, Math.floor(i / perRow) * ownSide);
    });
  }, [pictures]);
  const name = pictures.length === 1 ? 'One picture of yours' : `${pictures.length} pictures of yours`;
  return <canvas class="strip" ref={canvas} role="img" aria-label={name} />;
}
