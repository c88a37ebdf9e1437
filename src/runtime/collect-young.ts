import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { readonly type: 'minor' }) => void;

let collect: Collect | undefined;

/**
 * Collects what was allocated recently, in a millisecond or two.
 *
 * V8 hardly sees memory outside its heap: a stream of gigabytes leaves only a few small objects, which are not worth a
 * collection to it, until tens of megabytes hang on them and it marks everything there is instead.
 */
export function collectYoung(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    // Only a context that is made with the flag has it.
    collect = runInNewContext('gc') as Collect;
  }
  collect({ type: 'minor' });
}
