namespace cogvx {}
