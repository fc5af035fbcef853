"""What the end of a file's name says of it."""

_VIDEOS = """
mp4 m4v mov qt avi divx xvid mkv mk3d webm ogv ogg ogm ogx mpg mpeg mpe m1v m2v mpv mp2v mpeg2 vob evo dat mod
tod ts mts m2ts m2t tp trp wmv asf wm wtv dvr-ms flv f4v 3gp 3g2 3gpp 3gpp2 gif webp apng avif mng dv dif mxf
gxf mj2 mjpg mjpeg rm rmvb rv nut nsv amv y4m ivf ivr h261 h263 264 h264 h26l avc 265 h265 hevc 266 h266 vvc av1
obu vc1 drc dav 4xm bik bk2 smk roq swf cine r3d mve fli flc flic nuv pva ty cdxl
"""
_OTHERS = """
txt md rst log nfo csv tsv json jsonl ndjson yaml yml toml ini cfg conf xml html htm css js py ipynb sh bat c h
cpp pdf doc docx xls xlsx ppt pptx odt ods odp tex bib srt vtt ass ssa sub idx lrc png jpg jpeg jpe jfif bmp tif
tiff svg ico heic heif psd xcf exr hdr dng cr2 nef arw ppm pgm pbm mp3 wav flac aac m4a opus oga wma aif aiff
mid midi ac3 amr ape zip gz tgz bz2 xz 7z rar zst tbz txz iso dmg exe dll so apk npy npz pt pth ckpt onnx
safetensors parquet arrow feather h5 hdf5 hdf pkl pickle mat db sqlite ttf otf woff lock crdownload tmp bak
sha256 md5
"""

VIDEO_SUFFIXES = frozenset(f".{one}" for one in _VIDEOS.split())
"""Of files that are taken for videos. Others are, too, if FFmpeg finds moving pictures in them."""
OTHER_SUFFIXES = frozenset(f".{one}" for one in _OTHERS.split())
"""Of files that hold no video; nothing looks into them."""
