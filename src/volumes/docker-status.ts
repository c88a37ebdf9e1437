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

/** For `catch`: what is not there is `undefined`. */
export function ignoreNotFound(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
  return undefined;
}
