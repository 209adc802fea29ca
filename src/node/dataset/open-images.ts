import { statSync } from 'node:fs';
import { UsageError } from '../../errors.ts';
import { loadCifar10 } from '../cifar10.ts';
import { folderSource, zipSource } from './image-source.ts';
import type { ImageSource } from './image-source.ts';
import { datasetSource, isCifar10Folder, isMnistPath, readCifar10, readMnist } from './labelled-arrays.ts';

/**
 * Opens pictures: a folder, a zip archive, an archive of CIFAR-10, an idx file of MNIST, or `cifar10` from the cache.
 *
 * @throws UsageError when there is nothing at the path, or nothing that is known
 * @throws FormatError when it is damaged
 */
export async function openImages(path: string): Promise<ImageSource> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) {
    if (path === 'cifar10') return datasetSource(await loadCifar10({ split: 'train' }), 'CIFAR-10', path);
    throw new UsageError(`there is no file or folder ${path}.`);
  }
  if (found.isDirectory())
    return isCifar10Folder(path) ? datasetSource(await readCifar10(path), 'CIFAR-10', path) : folderSource(path);
  if (/\.zip$/i.test(path)) return zipSource(path);
  if (/\.(tar\.gz|tgz)$/i.test(path)) return datasetSource(await readCifar10(path), 'CIFAR-10', path);
  if (isMnistPath(path)) return datasetSource(await readMnist(path), 'MNIST', path);
  throw new UsageError(
    `${path} is no data set that is known: a folder, a .zip, cifar-10-python.tar.gz, cifar-10-binary.tar.gz or ` +
      'train-images-idx3-ubyte[.gz].',
  );
}
