import type { Family } from './metrics.ts';

/** Requests to the API server, counted as client-go counts them. */
export interface RestClientStats {
  /** `code` is the HTTP status, or `<error>` for none. */
  observe(answer: { readonly method: string; readonly code: string }): void;
  readonly family: Family;
}

export function createRestClientStats(): RestClientStats {
  const counts = new Map<
    string,
    { readonly labels: { readonly code: string; readonly method: string }; value: number }
  >();
  return {
    observe({ method, code }) {
      const key = `${code} ${method}`;
      const known = counts.get(key);
      if (known === undefined) counts.set(key, { labels: { code, method }, value: 1 });
      else known.value++;
    },
    family: {
      name: 'rest_client_requests_total',
      help: 'Number of HTTP requests, partitioned by status code and method.',
      type: 'counter',
      read: () => [...counts.values()],
    },
  };
}
