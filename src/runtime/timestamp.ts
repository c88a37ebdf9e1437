/** `metav1.Time` of wall-clock milliseconds: RFC 3339 in UTC, to the second, as every Kubernetes object has it. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** `metav1.MicroTime`, as the times of a Lease are: the API refuses any other number of digits. */
export function microTimestamp(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
