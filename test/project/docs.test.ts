import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const trackedPages = execFileSync('git', ['ls-files', '*.md'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
const pages = trackedPages.filter((path) => path === 'README.md' || /^docs\/.+\.md$/.test(path));

/** Targets of the links and pictures of a page, in Markdown and in HTML, without those inside code. */
function targetsIn(markdown: string): string[] {
  const text = markdown.replaceAll(/^ *```.*?^ *```/gms, '').replaceAll(/`[^`\n]*`/g, '');
  const inline = text.matchAll(/\]\(\s*<?([^\s)>]+)/g);
  const reference = text.matchAll(/^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/gm);
  const html = text.matchAll(/<[a-z][^>]*?\s(?:src|srcset|href)="([^"\s]+)/g);
  return [...inline, ...reference, ...html].map(([, target]) => target);
}

/** Where a target leads inside the repository, undefined for addresses and places of the same page. */
function fileOf(page: string, target: string): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:|^\/\/|^#/i.test(target)) return undefined;
  return join(dirname(page), decodeURIComponent(target.split(/[#?]/)[0]));
}

describe('pages', () => {
  test('every way to write a link is found, and none in code', () => {
    const text =
      '[a](one.md#part) ![b](<two.png> "title")\n[![c](three.png)](four.md)\n[d]: five.md\n' +
      '<p align="center"><img alt="e" src="six.png" width="10"></p>\n`[x](code.md)`\n```sh\n[y](fence.md)\n```\n';
    expect(targetsIn(text).sort()).toEqual(
      ['one.md#part', 'two.png', 'three.png', 'four.md', 'five.md', 'six.png'].sort(),
    );
    expect(
      ['a.md#b', '#b', 'https://example.org', 'mailto:a@example.org'].map((to) => fileOf('docs/x.md', to)),
    ).toEqual([join('docs', 'a.md'), undefined, undefined, undefined]);
  });

  test('there are pages to look at', () => {
    expect(pages).toEqual(expect.arrayContaining(['README.md', 'docs/dependencies.md', 'docs/design.md']));
  });

  test.each(pages)('relative links and pictures of %s lead somewhere', (page) => {
    const files = targetsIn(read(page)).flatMap((target) => fileOf(page, target) ?? []);
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });

  test.each(trackedPages)('%s is finished', (page) => {
    expect(read(page)).not.toMatch(/PENDING|@@/);
  });
});
