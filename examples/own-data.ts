/*
 * Data of one's own, from anywhere: an object with a length, get(i) and, for classes, label(i). Here it is a set of
 * pictures that are drawn as they are asked for, discs and squares, and the data set is looked at as training would.
 *
 *   npm run build && node dist/examples/own-data.js [shapes.png]
 */
import { encodePng, imageGrid, sampleSize, sourceDataset } from 'stable-target-field';
import type { SampleSource } from 'stable-target-field';
import { writeFileAtomic } from 'stable-target-field/node';

const [, , picture = 'shapes.png'] = process.argv;
const side = 32;

const shapes: SampleSource = {
  length: 10_000,
  // Planes [3, 32, 32], 0 to 255: red, then green, then blue. The same index always gives the same picture.
  get: (index) => {
    const planes = new Uint8Array(3 * side * side);
    const centre = [8 + ((index * 7) % 16), 8 + ((index * 11) % 16)];
    const radius = 4 + (index % 5);
    const colour = [64 + ((index * 37) % 192), 64 + ((index * 53) % 192), 64 + ((index * 71) % 192)];
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) {
        const [dx, dy] = [x - centre[0], y - centre[1]];
        const isInside =
          index % 2 === 0 ? Math.hypot(dx, dy) <= radius : Math.max(Math.abs(dx), Math.abs(dy)) <= radius;
        if (isInside) colour.forEach((value, c) => (planes[(c * side + y) * side + x] = value));
      }
    return planes;
  },
  label: (index) => index % 2,
};

// This is what `train({ dataset, ... })` takes.
const dataset = sourceDataset({ name: 'shapes', source: shapes, sampleShape: [3, side, side], classes: 2 });
console.log(
  `${dataset.name}: ${dataset.length} samples [${dataset.sampleShape.join(', ')}], ${dataset.classes} classes`,
);

const images = new Uint8Array(64 * sampleSize(dataset));
for (let i = 0; i < 64; i++) dataset.read(i, images, i * sampleSize(dataset));
const grid = imageGrid({ images, count: 64, channels: 3, height: side, width: side, columns: 8 });
await writeFileAtomic(picture, encodePng(grid));
console.log(picture);
