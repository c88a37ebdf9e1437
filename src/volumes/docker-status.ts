/** The HTTP status of what Docker answered, from dockerode's error or from ours. */
function dockerStatus(error: unknown): number | undefined {
  const { status, statusCode } = error as { status?: unknown; statusCode?: unknown };
  return [status, statusCode].find((value) => typeof value === 'number');
}

export function isNotFound(error: unknown): boolean {
  return dockerStatus(error) === 404;
}

export function isConflict(error: unknown): boolean {
  return dockerStatus(error) === 409;
}
