// What Twilio's own segmentation says of texts: reads JSON texts, one a line, writes one answer a line.
'use strict';
const { SegmentedMessage } = require('sms-segments-calculator');
const readline = require('node:readline');

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [text, smart] = JSON.parse(line);
  const message = new SegmentedMessage(text, 'auto', Boolean(smart));
  process.stdout.write(JSON.stringify({
    encoding: message.encodingName,
    parts: message.segmentsCount,
    bits: message.segments.map((segment) => segment.messageSizeInBits()),
    text: message.segments.map((segment) =>
      Array.from(segment).filter((each) => !each.isUserDataHeader && !each.isReservedChar)
        .map((each) => each.raw).join('')),
  }) + '\n');
});
