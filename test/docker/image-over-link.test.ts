import t from 'tap';
import { parseCount } from '../../src/docker/image-over-link.ts';

void t.test('what dd has counted last', (t) => {
  t.equal(parseCount(''), undefined);
  t.equal(parseCount('Error response from daemon: reference does not exist'), undefined);
  t.equal(parseCount('1 byte copied, 0.1 s'), 1);
  t.equal(parseCount('\r23068672 bytes (23 MB, 22 MiB) copied, 1 s, 23.0 MB/s'), 23068672);
  t.equal(parseCount('\r2097152 bytes (2.1 MB) copied, 1 s\r4194304 bytes (4.2 MB) copied, 2 s'), 4194304);
  t.equal(parseCount('\r2097152 bytes (2.1 MB)\n0+82 records in\n0+82 records out\n5242880 bytes (5.2 MB)'), 5242880);
  t.end();
});

void t.test('what others say is no count', (t) => {
  t.equal(parseCount('Loaded image ID 123 bytes'), undefined);
  t.equal(parseCount('3+1 records out'), undefined);
  t.end();
});
