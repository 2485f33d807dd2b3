#!/bin/sh
# Makes clock.flv, the clip of --demo. Needs ffmpeg with libx264 and the DejaVu fonts.
# 480 frames of 40 ms and 900 AAC frames of 1024/48000 s are both 19.2 s, and the tone has whole periods in that: the loop
# has no seam.
set -eu
cd "$(dirname "$0")"
mono=/usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf
sans=/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
ffmpeg -hide_banner -loglevel error -y \
    -f lavfi -i "gradients=s=640x360:r=25:c0=0x0b2239:c1=0x14506b:c2=0x0b2239:nb_colors=3:speed=0.006:d=19.2" \
    -f lavfi -i "sine=frequency=440:sample_rate=48000:duration=19.3" \
    -f lavfi -i "color=c=0xffb347:s=22x22:r=25:d=19.2" \
    -filter_complex "\
[0:v]drawtext=fontfile=$mono:text='%{pts\:hms}':fontsize=64:fontcolor=white:x=(w-text_w)/2:y=(h-text_h)/2-14,\
drawtext=fontfile=$sans:text='ipchub demo  -  /demo/clock':fontsize=20:fontcolor=0xcfe6f2:x=(w-text_w)/2:y=h/2+44,\
drawbox=x=40:y=316:w=560:h=4:color=0xcfe6f2@0.5:t=fill[bg];\
[bg][2:v]overlay=x='40+538*(0.5-0.5*cos(2*PI*t/4.8))':y=307,format=yuv420p[v];\
[1:a]volume=0.15,aformat=channel_layouts=mono[a]" \
    -map "[v]" -map "[a]" \
    -c:v libx264 -preset veryslow -tune animation -profile:v high -bf 2 -g 24 -keyint_min 24 -sc_threshold 0 \
    -b:v 300k -maxrate 500k -bufsize 500k -frames:v 480 \
    -c:a aac -b:a 48k -frames:a 900 \
    -flvflags no_duration_filesize -fflags +bitexact -flags:v +bitexact -flags:a +bitexact clock.flv
ls -l clock.flv
