/** What a Docker engine answers instead of a success, as docker-modem hands it over. */
export class EngineFailure extends Error {
  readonly statusCode: number;
  readonly json: { readonly message: string };

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
    this.json = { message };
  }
}

/** A step used something that this model does not know: the schedule counts for nothing until the model knows it. */
export class Unmodelled extends Error {}
