import t from 'tap';
import { applying } from './kubectl/scenarios/applying.ts';
import { diffing } from './kubectl/scenarios/diffing.ts';
import { kubectlSuite } from './kubectl/suite.ts';

kubectlSuite(t, [...applying, ...diffing]);
