/** The file an object was last applied from, relative to the directory. */
export const SOURCE_ANNOTATION = 'gridferry.io/source';

/** On objects that the sync created, and so may prune: the directory it created them from. */
export const DIRECTORY_ANNOTATION = 'gridferry.io/source-directory';

/**
 * The names of the fields that the file set when it was last applied, without their values: enough to remove what the
 * file no longer mentions, and no place for a secret.
 */
export const APPLIED_ANNOTATION = 'gridferry.io/last-applied-fields';

export const OWN_ANNOTATIONS = [SOURCE_ANNOTATION, DIRECTORY_ANNOTATION, APPLIED_ANNOTATION] as const;
