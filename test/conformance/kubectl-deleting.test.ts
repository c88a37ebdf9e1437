import t from 'tap';
import { deleting } from './kubectl/scenarios/deleting.ts';
import { kubectlSuite } from './kubectl/suite.ts';

kubectlSuite(t, deleting);
