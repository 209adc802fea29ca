// npm run parity -- DIR: compares this project with reference data.
import { parity } from './command.ts';

process.exitCode = await parity(process.argv.slice(2), {
  out: (line) => process.stdout.write(`${line}\n`),
  err: (line) => process.stderr.write(`${line}\n`),
});
