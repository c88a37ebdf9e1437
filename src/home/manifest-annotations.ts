/** The file an object was last applied from, relative to the directory. */
export const SOURCE_ANNOTATION = 'gridferry.io/source';

/** The commit that changed the object last, in full. */
export const REVISION_ANNOTATION = 'gridferry.io/source-revision';

/** On objects that the sync created, and so may prune: the directory, or the Git source, it created them from. */
export const DIRECTORY_ANNOTATION = 'gridferry.io/source-directory';

export const OWN_ANNOTATIONS = [SOURCE_ANNOTATION, REVISION_ANNOTATION, DIRECTORY_ANNOTATION] as const;

/** Asks for a look at once; any new value will do, the time as a rule. */
export const RECONCILE_ANNOTATION = 'gridferry.io/reconcile-requested-at';

/** On a Source: the commit that may be applied although it does not contain the one before. */
export const ACCEPT_ANNOTATION = 'gridferry.io/accept-rewritten-history';
