import t from 'tap';
import { openAt } from '../../src/docker/connections.ts';

/** As the kernel wrote it: header, listener, three from elsewhere in states 1, 5 and 8, one from the container itself. */
const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 020011AC:0050 010011AC:E1B4 01 00000000:00000000 02:000AFA8E 00000000     0        0 2 2 0 20 4 30 10 -1
   2: 020011AC:0050 0B54630A:E1B6 08 00000000:00000000 02:000AFA8E 00000000     0        0 3 2 0 20 4 30 10 -1
   3: 020011AC:0050 0B54630A:E1B8 05 00000000:00000000 02:000AFA8E 00000000     0        0 4 2 0 20 4 30 10 -1
   4: 0100007F:0050 0100007F:E1BA 01 00000000:00000000 02:000AFA8E 00000000     0        0 5 2 0 20 4 30 10 -1
   5: 020011AC:C350 0B54630A:1538 01 00000000:00000000 02:000AFA8E 00000000     0        0 6 2 0 20 4 30 10 -1
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
   1: 0000000000000000FFFF0000020011AC:01BB 0000000000000000FFFF00000B54630A:E1BC 01 00000000:00000000 02:000AFA8E
   2: 0000000000000000FFFF00000100007F:01BB 0000000000000000FFFF00000100007F:E1BE 01 00000000:00000000 02:000AFA8E
   3: 00000000000000000000000001000000:01BB 00000000000000000000000001000000:E1C0 01 00000000:00000000 02:000AFA8E
`;

void t.test('connections from elsewhere that are not over count, at the ports asked for', async (t) => {
  t.equal(openAt(table, [80]), 2);
  t.equal(openAt(table, [443]), 1);
  t.equal(openAt(table, [80, 443]), 3);
  t.equal(openAt(table, [8080]), 0);
  t.equal(openAt('', [80]), 0);
});
