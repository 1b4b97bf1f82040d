/** A process that holds the write lock of a database until its stdin ends; prints `locked` when it has it. */
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync(process.argv[2] ?? '', { timeout: 5000 });
database.exec('begin immediate');
process.stdout.write('locked\n');
process.stdin.resume().on('end', () => {
  database.exec('rollback');
  database.close();
});
