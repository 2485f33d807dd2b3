// Pages of another origin: mpegts.js, flv.js, and our own element embedded by one script tag.

import { figures, scene } from './support/stage.mjs';

for (const [kind, name] of [['mpegts', 'mpegts.js'], ['flvjs', 'flv.js']]) {
  for (const [scheme, way] of [['ws', 'websocket-flv'], ['http', 'http-flv']]) {
    scene(`${name} plays /demo/clock over ${way}`, async (stage) => {
      const hub = await stage.hub({ demo: true });
      const page = await stage.openForeign(kind, hub, hub.flv(scheme, '/demo/clock'));
      stage.note(figures(await page.playsWell()));
    });
  }
}

scene('our element plays in a page of another origin', async (stage) => {
  const hub = await stage.hub({ demo: true });
  const page = await stage.openForeign('embedded', hub, hub.flv('ws', '/demo/clock'));
  stage.note(figures(await page.playsWell()));
  await page.screenshot('embedded');
});
