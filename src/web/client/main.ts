/** The page: takes the token out of the address, listens to the live picture, and draws it. */
import type { Overview, Selection } from '../view.ts';
import { bindActions } from './actions.ts';
import { Charts, tellMarks } from './charts.ts';
import { showAudit, showFleet, showModels } from './fleet.ts';
import { showHead, showNeeds, showStages, showState } from './head.ts';
import { showDead, showGood, showRecent } from './lists.ts';
import { Live } from './live.ts';
import { takeTokenFromAddress } from './session.ts';

takeTokenFromAddress();
const charts = new Charts();
let newest: Overview | null = null;
let selection: Partial<Selection> = {};

function draw(): void {
  if (!newest) return;
  showHead(newest);
  showNeeds(newest);
  showStages(newest.stages);
  charts.update(newest.series);
  tellMarks(newest.series);
  showGood(newest);
  showRecent(newest);
  showModels(newest);
  showDead(newest);
  showFleet(newest);
  showAudit(newest);
  document.body.dataset.drawn = String(newest.at);
}

const live = new Live(selection, {
  overview: (overview) => {
    newest = overview;
    draw();
  },
  state: showState,
});

// A link with a token may be opened in the page that is already there.
addEventListener('hashchange', () => {
  takeTokenFromAddress();
  draw();
});

bindActions({
  overview: () => newest,
  select: (change) => {
    selection = { ...newest?.selection, ...selection, ...change };
    live.select(selection);
  },
  draw,
});
