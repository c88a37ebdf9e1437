/** An entry knows its own place, so that it can be taken out again in O(log n). `heapIndex` belongs to the heap. */
export interface HeapEntry {
  readonly dueAt: number;
  heapIndex: number;
}

/** A binary heap of things that are due at some time: the earliest on top. */
export interface DelayHeap<E extends HeapEntry> {
  readonly size: number;
  peek(): E | undefined;
  push(entry: E): void;
  remove(entry: E): void;
  /** In no particular order. */
  values(): Iterable<E>;
  clear(): void;
}

export function createDelayHeap<E extends HeapEntry>(): DelayHeap<E> {
  const heap: E[] = [];

  function put(entry: E, index: number): void {
    heap[index] = entry;
    entry.heapIndex = index;
  }

  function siftUp(entry: E, from: number): void {
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above] as E;
      if (parent.dueAt <= entry.dueAt) break;
      put(parent, index);
      index = above;
    }
    put(entry, index);
  }

  function siftDown(entry: E, from: number): void {
    let index = from;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right !== undefined && right.dueAt < (heap[below] as E).dueAt) below++;
      const child = heap[below] as E;
      if (child.dueAt >= entry.dueAt) break;
      put(child, index);
      index = below;
    }
    put(entry, index);
  }

  return {
    get size() {
      return heap.length;
    },
    peek: () => heap[0],
    push(entry) {
      heap.push(entry);
      siftUp(entry, heap.length - 1);
    },
    remove(entry) {
      const index = entry.heapIndex;
      if (heap[index] !== entry) return;
      const last = heap.pop() as E;
      if (last !== entry) {
        // The last one may belong above or below the hole: it comes from another branch.
        siftDown(last, index);
        siftUp(last, last.heapIndex);
      }
      entry.heapIndex = -1;
    },
    values: () => heap,
    clear() {
      heap.length = 0;
    },
  };
}
